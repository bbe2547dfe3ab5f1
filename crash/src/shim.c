/* Preloaded into the server: records every operation on files of one directory (POWERCUT_DIR) in the file POWERCUT_LOG.
 * Format: marks.rs. Memory that is mapped is not recorded; only SQLite's index of the log is, and it is made anew. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define FILES 65536
#define REAL(name) \
    static __typeof__(&name) real; \
    if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

static int record_fd = -1;
static const char *directory;
static size_t directory_length;
/* By descriptor: 0 not ours, 1 the directory itself, otherwise 2 + the inode's number. */
static uint64_t files[FILES];

__attribute__((constructor)) static void begin(void) {
    const char *log = getenv("POWERCUT_LOG");
    directory = getenv("POWERCUT_DIR");
    if (!log || !directory) return;
    directory_length = strlen(directory);
    record_fd = open(log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
}

static void record(uint32_t kind, uint64_t number, uint64_t at, const void *payload, uint32_t length) {
    struct { uint32_t kind, length; uint64_t number, at; } header = {kind, length, number, at};
    struct iovec parts[2] = {{&header, sizeof header}, {(void *)payload, length}};
    int before = errno;
    if (writev(record_fd, parts, 2) != (ssize_t)(sizeof header + length)) abort();
    errno = before;
}

/* The name inside of the directory; "" is the directory itself. */
static const char *ours(const char *path) {
    if (record_fd < 0 || !path || strncmp(path, directory, directory_length)) return NULL;
    path += directory_length;
    while (*path == '/') path++;
    size_t length = strlen(path);
    if (length > 4 && !strcmp(path + length - 4, "-shm")) return NULL;
    return path;
}

static uint64_t file(int fd) {
    return fd >= 0 && fd < FILES ? files[fd] : 0;
}

static void opened(int fd, const char *path) {
    const char *name = ours(path);
    if (fd < 0 || fd >= FILES) return;
    files[fd] = 0;
    if (!name) return;
    struct stat found;
    if (fstat(fd, &found)) return;
    if (S_ISDIR(found.st_mode)) {
        files[fd] = *name ? 0 : 1;
        return;
    }
    files[fd] = 2 + found.st_ino;
    record('O', found.st_ino, 0, name, strlen(name));
}

static mode_t mode_of(int flags, va_list rest) {
    return flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
}

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        REAL(name); \
        va_list rest; \
        va_start(rest, flags); \
        mode_t mode = mode_of(flags, rest); \
        va_end(rest); \
        int fd = real(path, flags, mode); \
        opened(fd, path); \
        return fd; \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name) \
    int name(int dir, const char *path, int flags, ...) { \
        REAL(name); \
        va_list rest; \
        va_start(rest, flags); \
        mode_t mode = mode_of(flags, rest); \
        va_end(rest); \
        int fd = real(dir, path, flags, mode); \
        if (dir == AT_FDCWD || *path == '/') opened(fd, path); \
        return fd; \
    }
OPENAT(openat)
OPENAT(openat64)

int close(int fd) {
    REAL(close);
    if (fd >= 0 && fd < FILES) files[fd] = 0;
    return real(fd);
}

ssize_t write(int fd, const void *bytes, size_t count) {
    REAL(write);
    uint64_t number = file(fd);
    off_t at = number > 1 ? lseek(fd, 0, SEEK_CUR) : 0;
    ssize_t done = real(fd, bytes, count);
    if (number > 1 && done > 0) record('W', number - 2, at, bytes, done);
    return done;
}

#define PWRITE(name, offset) \
    ssize_t name(int fd, const void *bytes, size_t count, offset at) { \
        REAL(name); \
        uint64_t number = file(fd); \
        ssize_t done = real(fd, bytes, count, at); \
        if (number > 1 && done > 0) record('W', number - 2, at, bytes, done); \
        return done; \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

#define TRUNCATE(name, offset) \
    int name(int fd, offset length) { \
        REAL(name); \
        int done = real(fd, length); \
        if (file(fd) > 1 && !done) record('T', file(fd) - 2, length, "", 0); \
        return done; \
    }
TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

#define SYNC(name) \
    int name(int fd) { \
        REAL(name); \
        int done = real(fd); \
        if (file(fd) == 1 && !done) record('D', 0, 0, "", 0); \
        if (file(fd) > 1 && !done) record('S', file(fd) - 2, 0, "", 0); \
        return done; \
    }
SYNC(fsync)
SYNC(fdatasync)

int unlink(const char *path) {
    REAL(unlink);
    int done = real(path);
    const char *name = ours(path);
    if (name && !done) record('U', 0, 0, name, strlen(name));
    return done;
}

int rename(const char *from, const char *to) {
    REAL(rename);
    int done = real(from, to);
    const char *a = ours(from), *b = ours(to);
    char names[1024];
    if (a && b && !done) {
        int length = snprintf(names, sizeof names, "%s\n%s", a, b);
        record('R', 0, 0, names, length);
    }
    return done;
}
