//! Looks at SQLite's write-ahead log before SQLite does. SQLite takes the first unreadable frame for the torn end of
//! the log and forgets what follows; that is right after a loss of power and wrong for a damaged file, whose later
//! transactions were acknowledged. This tells one from the other.
//!
//! With `durability = fsync` a transaction is written only after the one before it has reached the disk. So an unreadable frame is the torn
//! end if nothing of a later transaction follows it, and damage otherwise. With `durability = os` a loss of power may
//! leave such gaps, so there it is only worth a warning. Format: SQLite's "WAL-mode File Format".

use std::collections::{BTreeMap, BTreeSet};

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
/// Its last bit tells the byte order of the checksums.
const MAGIC: u32 = 0x377f_0682;
/// Salts closer than this are those of rounds of one log; others were drawn, or are damaged.
const ROUNDS: u32 = 1 << 16;

/// What there is to know about a log before SQLite opens it.
#[derive(Debug, Default)]
pub(super) struct Inspection {
    /// What is wrong with it, if it cannot be trusted.
    pub(super) damage: Option<String>,
    /// Its length up to the end of the last transaction that SQLite will find, bytes.
    pub(super) sound: usize,
}

/// Looks at a log. `database` reads so many bytes of the main file from an offset on, as far as there are some; that is
/// hardly ever needed.
pub(super) fn inspect<E>(
    log: &[u8],
    mut database: impl FnMut(u64, usize) -> Result<Vec<u8>, E>,
) -> Result<Inspection, E> {
    // The header reaches the disk before the first frame, so nothing was acknowledged yet.
    if log.len() <= HEADER {
        return Ok(Inspection::default());
    }
    let Some(reader) = Reader::new(log) else {
        let lost = match Headless::new(log, &database(0, 100)?) {
            Some(log) => log.holds_more(database)?,
            None => true,
        };
        return Ok(Inspection {
            damage: lost.then(|| "its header is unreadable".to_owned()),
            sound: 0,
        });
    };
    Ok(reader.inspect())
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

    /// Reads all frames. Damage is an unreadable one with something of a later transaction behind it.
    ///
    /// A frame with our salt alone proves nothing: a transaction that was torn may have left it there. But checksums run on
    /// from frame to frame, so a frame that continues the last one of a transaction was written after that transaction.
    fn inspect(mut self) -> Inspection {
        let mut inspection = Inspection::default();
        let mut broken = None;
        let mut length = HEADER;
        // How the checksum stands behind the end of a transaction.
        let mut ends: Vec<(u32, u32)> = Vec::new();
        for (index, frame) in self.frames.clone().enumerate() {
            length += frame.len();
            // Frames of an earlier round of the log carry another salt.
            let ours = frame.get(8..16) == Some(self.salt);
            if broken.is_none() {
                if self.check(frame) && ours {
                    if ends_transaction(frame) {
                        inspection.sound = length;
                    }
                    continue;
                }
                broken = Some(index + 1);
                // Either its content is damaged or the sum that it carries.
                let sums = [stored(frame), Some(self.checksum)];
                ends.extend(sums.into_iter().flatten().filter(|_| ends_transaction(frame)));
                continue;
            }
            if ours && ends.iter().any(|end| continues(self.big_endian, frame, *end)) {
                inspection.damage =
                    broken.map(|frame| format!("frame {frame} is unreadable, and later changes follow it"));
                return inspection;
            }
            ends.clear();
            ends.extend(stored(frame).filter(|_| ours && ends_transaction(frame)));
        }
        inspection
    }

    /// Whether the frame continues what was read so far. Checksums run through the whole log.
    fn check(&mut self, frame: &[u8]) -> bool {
        let Some(sum) = sum(self.big_endian, frame, self.checksum) else {
            return false;
        };
        self.checksum = sum;
        Some(sum) == stored(frame)
    }
}

/// A log whose header is unreadable. SQLite writes the header again when it begins with the first frame, and a loss of
/// power may then leave garbage there. Everything behind it is by then in the main file too, or was never acknowledged.
struct Headless<'a> {
    frames: Vec<&'a [u8]>,
    page: usize,
}

impl<'a> Headless<'a> {
    /// `database`: how the main file begins.
    fn new(log: &'a [u8], database: &[u8]) -> Option<Self> {
        let page = match database.get(16..18)?.try_into().map(u16::from_be_bytes).ok()? {
            1 => 65_536,
            size => usize::from(size),
        };
        let sound = page >= 512 && page.is_power_of_two();
        let frames = log.get(HEADER..)?.chunks_exact(FRAME_HEADER + page).collect();
        sound.then_some(Self { frames, page })
    }

    /// Whether there is something acknowledged that the main file does not have.
    ///
    /// All transactions of a chain but the last are known to have been acknowledged: another one continues them. The last
    /// may have changed the same pages again. Whatever made the header unreadable may have destroyed frames, too, so that a
    /// chain counts wherever it begins.
    fn holds_more<E>(&self, mut database: impl FnMut(u64, usize) -> Result<Vec<u8>, E>) -> Result<bool, E> {
        let mut pages = BTreeMap::new();
        for chain in self.newest_chains() {
            let transactions = chain.split_last().map_or(&[][..], |(_, before)| before);
            let end = transactions.iter().rposition(|frame| ends_transaction(frame));
            let (acknowledged, last) = chain.split_at(end.map_or(0, |end| end + 1));
            for frame in acknowledged {
                pages.insert(word(frame, 0), (*frame, *frame));
            }
            for frame in last {
                if let Some((_, last)) = pages.get_mut(&word(frame, 0)) {
                    *last = frame;
                }
            }
        }
        // Pages are counted from 1.
        for (number, (acknowledged, last)) in pages {
            let Some(at) = number.and_then(|number| number.checked_sub(1)) else {
                return Ok(true);
            };
            let there = database(u64::from(at) * self.page as u64, self.page)?;
            let is_folded = |frame: &[u8]| frame.get(FRAME_HEADER..) == Some(&there);
            if !is_folded(acknowledged) && !is_folded(last) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Frames that continue one another, of the newest round alone. With each round the first half of the salt grows by
    /// one, and none begins before all of the one before it is in the main file.
    fn newest_chains(&self) -> impl Iterator<Item = &[&'a [u8]]> {
        let salts: BTreeSet<u32> = self.frames.iter().filter_map(|frame| word(frame, 8)).collect();
        let is_newest = move |frame: &[u8]| {
            let age = |salt: &u32| Some(salt.wrapping_sub(word(frame, 8)?));
            let newer = |salt| age(salt).is_some_and(|age| (1..ROUNDS).contains(&age));
            !salts.iter().any(newer)
        };
        let chains = self.frames.chunk_by(|before, frame| {
            let sum = stored(before).filter(|_| before.get(8..16) == frame.get(8..16));
            sum.is_some_and(|sum| continues(false, frame, sum) || continues(true, frame, sum))
        });
        chains.filter(move |chain| chain.first().is_some_and(|frame| is_newest(frame)))
    }
}

/// The checksum behind a frame, given the one before it.
fn sum(big_endian: bool, frame: &[u8], before: (u32, u32)) -> Option<(u32, u32)> {
    let (header, page) = frame.split_at_checked(FRAME_HEADER)?;
    let own = checksum(big_endian, header.get(..8)?, before);
    Some(checksum(big_endian, page, own))
}

/// Whether a frame was written behind what has this checksum.
fn continues(big_endian: bool, frame: &[u8], before: (u32, u32)) -> bool {
    sum(big_endian, frame, before).is_some_and(|sum| Some(sum) == stored(frame))
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
