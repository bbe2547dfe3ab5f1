//! Looks at SQLite's write-ahead log before SQLite does. SQLite takes the first unreadable frame for the torn end of
//! the log and forgets what follows; that is right after a loss of power and wrong for a damaged file, whose later
//! transactions were acknowledged. This tells one from the other.
//!
//! With `durability = fsync` a transaction is written only after the one before it has reached the disk. So an unreadable frame is the torn
//! end if nothing of a later transaction follows it, and damage otherwise. With `durability = os` a loss of power may
//! leave such gaps, so there it is only worth a warning. Format: SQLite's "WAL-mode File Format".

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
/// Its last bit tells the byte order of the checksums.
const MAGIC: u32 = 0x377f_0682;

/// What is wrong with the content of a log; `None` if it can be trusted or holds nothing.
pub(super) fn damage(log: &[u8]) -> Option<String> {
    // The header reaches the disk before the first frame, so nothing was acknowledged yet.
    if log.len() <= HEADER {
        return None;
    }
    let Some(reader) = Reader::new(log) else {
        return Some("its header is unreadable".to_owned());
    };
    reader
        .damaged_frame()
        .map(|frame| format!("frame {frame} is unreadable, and later changes follow it"))
}

/// A log whose header is readable.
struct Reader<'a> {
    frames: std::slice::ChunksExact<'a, u8>,
    big_endian: bool,
    salt: &'a [u8],
    checksum: (u32, u32),
}

impl<'a> Reader<'a> {
    fn new(log: &'a [u8]) -> Option<Self> {
        let (header, frames) = log.split_at_checked(HEADER)?;
        let magic = word(header, 0)?;
        let page = usize::try_from(word(header, 8)?).ok()?;
        let big_endian = magic == MAGIC | 1;
        let checksum = checksum(big_endian, header.get(..24)?, (0, 0));
        let sound = magic & !1 == MAGIC
            && (512..=65_536).contains(&page)
            && page.is_power_of_two()
            && checksum == (word(header, 24)?, word(header, 28)?);
        let frames = frames.chunks_exact(FRAME_HEADER + page);
        sound.then_some(Self {
            frames,
            big_endian,
            salt: header.get(16..24)?,
            checksum,
        })
    }

    /// The number, from 1, of an unreadable frame with something of a later transaction behind it.
    ///
    /// A frame with our salt alone proves nothing: an attempt that failed, or that a killed process did not finish, may
    /// have left it, and a shorter transaction was written over the beginning. But checksums run on from frame to frame,
    /// so a frame that continues the last one of a transaction was written after that transaction.
    fn damaged_frame(mut self) -> Option<usize> {
        let mut broken = None;
        // How the checksum stands behind the end of a transaction.
        let mut ends: Vec<(u32, u32)> = Vec::new();
        for (index, frame) in self.frames.clone().enumerate() {
            // Frames of an earlier round of the log carry another salt.
            let ours = frame.get(8..16) == Some(self.salt);
            if broken.is_none() {
                if self.check(frame) && ours {
                    continue;
                }
                broken = Some(index + 1);
                // Either its content is damaged or the sum that it carries.
                let sums = [stored(frame), Some(self.checksum)];
                ends.extend(sums.into_iter().flatten().filter(|_| ends_transaction(frame)));
                continue;
            }
            let continues = |end: &(u32, u32)| {
                self.sum(frame, *end)
                    .is_some_and(|sum| Some(sum) == stored(frame))
            };
            if ours && ends.iter().any(continues) {
                return broken;
            }
            ends.clear();
            ends.extend(stored(frame).filter(|_| ours && ends_transaction(frame)));
        }
        None
    }

    /// Whether the frame continues what was read so far. Checksums run through the whole log.
    fn check(&mut self, frame: &[u8]) -> bool {
        let Some(sum) = self.sum(frame, self.checksum) else {
            return false;
        };
        self.checksum = sum;
        Some(sum) == stored(frame)
    }

    /// The checksum behind a frame, given the one before it.
    fn sum(&self, frame: &[u8], before: (u32, u32)) -> Option<(u32, u32)> {
        let (header, page) = frame.split_at_checked(FRAME_HEADER)?;
        let own = checksum(self.big_endian, header.get(..8)?, before);
        Some(checksum(self.big_endian, page, own))
    }
}

/// The checksum that a frame carries.
fn stored(frame: &[u8]) -> Option<(u32, u32)> {
    Some((word(frame, 16)?, word(frame, 20)?))
}

/// The last frame of a transaction tells the size of the file.
fn ends_transaction(frame: &[u8]) -> bool {
    word(frame, 4) != Some(0)
}

/// The big-endian number at an offset.
fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes)
}

fn checksum(big_endian: bool, bytes: &[u8], (mut a, mut b): (u32, u32)) -> (u32, u32) {
    let read = if big_endian {
        u32::from_be_bytes
    } else {
        u32::from_le_bytes
    };
    for pair in bytes.as_chunks::<8>().0 {
        let [w, x, y, z, rest @ ..] = *pair;
        a = a.wrapping_add(read([w, x, y, z])).wrapping_add(b);
        b = b.wrapping_add(read(rest)).wrapping_add(a);
    }
    (a, b)
}
