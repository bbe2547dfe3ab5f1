//! A descriptor table of its own for each I/O thread (`ws.shard_descriptors`), and the way of a socket from one table
//! into another. Linux counts the limit of open files per table; threads share one unless they part.
//!
//! A descriptor is a number that means nothing in another table, so three rules keep this sound:
//! * what one thread does with a number of another, namely waking its runtime by an eventfd, happens with numbers that
//!   were opened before the tables parted and stay open in the common table until the threads have ended: they mean the
//!   same everywhere. (Threads without I/O of their own, as the core's, are woken without a descriptor.) A mistake here
//!   is eight bytes that reach a stranger's socket;
//! * everything else is opened, used and closed in one table (threads that a shard starts share the shard's);
//! * an accepted socket changes tables through `Post` and `Letterbox` only.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use nix::sched::{CloneFlags, unshare};
use rustix::io::retry_on_intr;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};

/// The calling thread gets a copy of the table it shared until now; from here on it opens and closes for itself.
///
/// # Errors
/// Not allowed, for instance by a container's system call filter.
pub(crate) fn part() -> io::Result<()> {
    Ok(unshare(CloneFlags::CLONE_FILES)?)
}

/// Where sockets leave a table.
#[derive(Debug)]
pub(crate) struct Post(UnixStream);

/// Where they arrive in another one, in the same order.
#[derive(Debug)]
pub(crate) struct Letterbox(UnixStream);

/// A way between two tables that are still one.
///
/// # Errors
/// No descriptors are left.
pub(crate) fn way() -> io::Result<(Post, Letterbox)> {
    let (post, letterbox) = UnixStream::pair()?;
    Ok((Post(post), Letterbox(letterbox)))
}

impl Post {
    /// Sends a socket; the sender's descriptor for it can be closed then. Waits for the other side while the kernel holds
    /// as many as a socket's buffer counts, a few hundred.
    ///
    /// # Errors
    /// Too many descriptors of this user are on their way.
    pub(crate) fn send(&self, socket: &OwnedFd) -> io::Result<()> {
        let sockets = [socket.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(&sockets));
        // A stream carries descriptors with bytes only.
        let byte = [IoSlice::new(&[0])];
        retry_on_intr(|| sendmsg(&self.0, &byte, &mut control, SendFlags::NOSIGNAL))?;
        Ok(())
    }
}

impl Letterbox {
    /// The same letterbox, with a descriptor that belongs to the table of the calling thread.
    ///
    /// # Errors
    /// No descriptors are left.
    pub(crate) fn moved_here(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }

    /// Takes the next socket into the table of the calling thread. To be called only after one was sent.
    ///
    /// # Errors
    /// The table is full; that socket is closed.
    pub(crate) fn take(&self) -> io::Result<OwnedFd> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0];
        let mut slices = [IoSliceMut::new(&mut byte)];
        retry_on_intr(|| recvmsg(&self.0, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC))?;
        let socket = control.drain().find_map(|message| {
            let RecvAncillaryMessage::ScmRights(mut sockets) = message else {
                return None;
            };
            sockets.next()
        });
        socket.ok_or_else(|| rustix::io::Errno::MFILE.into())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    /// A socket arrives in the other table, and ends when its new owner drops it: no other descriptor keeps it open.
    #[test]
    fn a_socket_moves_to_another_table() {
        let (post, letterbox) = way().unwrap();
        let (parted_is, parted) = std::sync::mpsc::channel();
        let (sent_is, sent) = std::sync::mpsc::channel();
        let other = std::thread::spawn(move || {
            part().unwrap();
            let here = letterbox.moved_here().unwrap();
            parted_is.send(letterbox).unwrap();
            sent.recv().unwrap();
            drop(here.take().unwrap());
        });
        let letterbox = parted.recv().unwrap();
        let (mut mine, theirs) = UnixStream::pair().unwrap();
        post.send(&OwnedFd::from(theirs)).unwrap();
        drop(letterbox);
        sent_is.send(()).unwrap();
        assert_eq!(mine.read(&mut [0]).unwrap(), 0);
        other.join().unwrap();
    }
}
