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
    fn damaged_frame(mut self) -> Option<usize> {
        let mut broken = None;
        let mut transaction_ended = false;
        for (index, frame) in self.frames.clone().enumerate() {
            // Frames of an earlier round of the log carry another salt, so one that does proves nothing: after a
            // loss of power it may lie before frames of the torn transaction.
            let ours = frame.get(8..16) == Some(self.salt);
            if broken.is_none() && !(ours && self.check(frame)) {
                broken = Some(index + 1);
            }
            if broken.is_some() && ours {
                if transaction_ended {
                    return broken;
                }
                transaction_ended = word(frame, 4) != Some(0);
            }
        }
        None
    }

    /// Checksums run through the whole log.
    fn check(&mut self, frame: &[u8]) -> bool {
        let Some((header, page)) = frame.split_at_checked(FRAME_HEADER) else {
            return false;
        };
        let own = header.get(..8).unwrap_or_default();
        self.checksum = checksum(
            self.big_endian,
            page,
            checksum(self.big_endian, own, self.checksum),
        );
        Some(self.checksum.0) == word(header, 16) && Some(self.checksum.1) == word(header, 20)
    }
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
