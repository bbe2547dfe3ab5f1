//! Digests of actions: 32 bits that tell whether a replay did the same. Not a defence against anybody.

use core::hash::{Hash, Hasher};

use crate::action::{Action, Answer, Reply};
use crate::cometql::Rows;
use crate::record::Record;

/// What a digest covers of texts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Texts {
    /// Every byte.
    Whole,
    /// Only how long they are: a recording whose texts are stand-ins of the same length has the same digests. As other
    /// texts are in another order, so may be what is in the order of texts: rows, and tokens that are deleted.
    Lengths,
}

/// The digests of actions, in their order.
pub fn digests(actions: &[Action], texts: Texts) -> impl Iterator<Item = u32> {
    actions.iter().map(move |action| match texts {
        Texts::Whole => digest(action, texts),
        Texts::Lengths => digest_in_any_order(action),
    })
}

fn digest_in_any_order(action: &Action) -> u32 {
    let texts = Texts::Lengths;
    if let Action::Reply {
        session,
        req,
        reply:
            Reply {
                result: Ok(Answer::Rows(Rows { columns, rows })),
                in_transaction,
            },
    } = action
    {
        let each = rows.iter().map(|row| u64::from(digest(row, texts)));
        let all = each.fold(0, u64::wrapping_add);
        return digest(&((session, req, in_transaction), columns, rows.len(), all), texts);
    }
    if let Action::Persist {
        op,
        record: Record::TokenRestored { dev, .. },
    } = action
    {
        return digest(&(op, dev), texts);
    }
    digest(action, texts)
}

/// The digest of a value. It depends on nothing but the value: not on the machine, and not on the process.
pub(super) fn digest<T: Hash + ?Sized>(value: &T, texts: Texts) -> u32 {
    let mut mixer = Mixer {
        state: 0x243f_6a88_85a3_08d3,
        texts,
    };
    value.hash(&mut mixer);
    let state = folded(mixer.state);
    (state ^ state >> 32) as u32
}

/// Folds words of eight bytes into a state. Most words are numbers of an action, each of which waits for the one before;
/// so they take a short multiplication, of which no two words make the same, and what that leaves undone is done once at
/// the end.
struct Mixer {
    state: u64,
    texts: Texts,
}

impl Mixer {
    const fn mix(&mut self, word: u64) {
        self.state = (self.state.rotate_left(23) ^ word).wrapping_mul(ODD);
    }
}

/// Far from every regular pattern.
const ODD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Long multiplication, both halves of it.
const fn folded(word: u64) -> u64 {
    let product = word as u128 * ODD as u128;
    (product as u64 ^ (product >> 64) as u64).wrapping_add(0x1319_8a2e_0370_7345)
}

impl Hasher for Mixer {
    fn finish(&self) -> u64 {
        self.state
    }

    /// Only texts and bytes come this way.
    fn write(&mut self, bytes: &[u8]) {
        self.mix(bytes.len() as u64);
        if self.texts == Texts::Lengths {
            return;
        }
        // Eight at a time, as they do not wait for each other.
        let (lines, rest) = bytes.as_chunks::<64>();
        if !lines.is_empty() {
            let mut lanes = [1, 2, 3, 4, 5, 6, 7, 8].map(|lane| self.state.wrapping_add(lane));
            for line in lines {
                for (lane, word) in lanes.iter_mut().zip(line.as_chunks::<8>().0) {
                    *lane = folded(*lane ^ u64::from_le_bytes(*word));
                }
            }
            lanes.into_iter().for_each(|lane| self.mix(lane));
        }
        let (words, tail) = rest.as_chunks::<8>();
        for word in words {
            self.mix(u64::from_le_bytes(*word));
        }
        let last = tail
            .iter()
            .rev()
            .fold(0, |last, byte| last << 8 | u64::from(*byte));
        self.mix(last);
    }

    fn write_u8(&mut self, n: u8) {
        self.mix(n.into());
    }

    fn write_u16(&mut self, n: u16) {
        self.mix(n.into());
    }

    fn write_u32(&mut self, n: u32) {
        self.mix(n.into());
    }

    fn write_u64(&mut self, n: u64) {
        self.mix(n);
    }

    fn write_u128(&mut self, n: u128) {
        self.mix(n as u64);
        self.mix((n >> 64) as u64);
    }

    fn write_usize(&mut self, n: usize) {
        self.mix(n as u64);
    }

    fn write_i64(&mut self, n: i64) {
        self.mix(n.cast_unsigned());
    }

    fn write_isize(&mut self, n: isize) {
        self.mix(n as i64 as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use alloc::vec::Vec;

    use crate::cometql::{Cell, Row};
    use crate::id::{RequestId, SessionId};
    use crate::name::Body;

    const TEXT: &str = "a message that is so long that every one of the ways to take words is taken";

    fn both(text: &str) -> [u32; 2] {
        [Texts::Whole, Texts::Lengths].map(|texts| digest(&(1u64, Body::new(text)), texts))
    }

    #[test]
    fn a_digest_sees_every_byte_or_only_the_length() {
        let [whole, length] = both(TEXT);
        for at in 0..TEXT.len() {
            let mut other = String::from(TEXT);
            other.replace_range(at..=at, "#");
            let [other_whole, other_length] = both(&other);
            assert_ne!(whole, other_whole, "byte {at}");
            assert_eq!(length, other_length);
        }
        assert_ne!(length, both(&TEXT[1..])[1]);
    }

    fn answered(rows: Vec<Row>, texts: Texts) -> Vec<u32> {
        let action = Action::Reply {
            session: SessionId(1),
            req: RequestId(1),
            reply: Reply {
                result: Ok(Answer::Rows(Rows {
                    columns: ["token".into()].into(),
                    rows,
                })),
                in_transaction: false,
            },
        };
        digests(&[action], texts).collect()
    }

    /// Another text is in another place among the others.
    #[test]
    fn without_texts_rows_have_no_order() {
        let [a, b, c] = ["a token", "a longer token", "another"].map(|text| [Cell::text(text)].to_vec());
        let rows = [[&a, &b], [&b, &a], [&a, &c], [&a, &a]].map(|rows| rows.map(Clone::clone).to_vec());
        let [ab, ba, ac, aa] = rows.each_ref().map(|rows| answered(rows.clone(), Texts::Lengths));
        assert_eq!(ab, ba);
        assert_ne!(ab, aa);
        assert_eq!(ac, aa);
        assert_ne!(ab, answered([a].to_vec(), Texts::Lengths));
        let [ab, ba, ac, aa] = rows.map(|rows| answered(rows, Texts::Whole));
        assert!(ab != ba && ac != aa);
    }

    /// Recordings are replayed elsewhere and later.
    #[test]
    fn digests_are_the_same_everywhere() {
        assert_eq!(both("x"), [1_289_707_729, 2_538_207_927]);
    }

    /// Chance would give half a pair of the same among 65,536.
    #[test]
    fn digests_of_small_and_of_large_numbers_differ() {
        for shift in [0, 20, 40, 56] {
            let pairs = (0..256u64).flat_map(|a| (0..256u64).map(move |b| (a << shift, b << shift)));
            let all: alloc::collections::BTreeSet<u32> =
                pairs.map(|pair| digest(&pair, Texts::Whole)).collect();
            assert!(all.len() > 65_536 - 5, "{shift}: {}", all.len());
        }
    }

    /// Every number an action carries changes its digest, whatever its width.
    #[test]
    fn digests_see_numbers_of_every_width() {
        for texts in [Texts::Whole, Texts::Lengths] {
            assert_ne!(digest(&1u8, texts), digest(&2u8, texts));
            assert_ne!(digest(&1u16, texts), digest(&2u16, texts));
            assert_ne!(digest(&1u32, texts), digest(&2u32, texts));
            assert_ne!(digest(&1u64, texts), digest(&2u64, texts));
            assert_ne!(digest(&1i64, texts), digest(&2i64, texts));
            assert_ne!(digest(&1usize, texts), digest(&2usize, texts));
            assert_ne!(digest(&1isize, texts), digest(&2isize, texts));
            assert_ne!(digest(&1u128, texts), digest(&(1u128 << 64 | 1), texts));
        }
    }

    /// A digest of a whole text sees each of its bytes, however many there are over the last eight.
    #[test]
    fn digests_see_every_byte_of_a_tail() {
        for length in 1..=17 {
            let text = "a".repeat(length);
            let all: alloc::collections::BTreeSet<u32> = (0..length)
                .map(|at| {
                    let mut other = text.clone();
                    other.replace_range(at..=at, "b");
                    digest(other.as_str(), Texts::Whole)
                })
                .chain([digest(text.as_str(), Texts::Whole)])
                .collect();
            assert_eq!(all.len(), length + 1, "{length}");
        }
        assert_ne!(digest(&1u128, Texts::Whole), digest(&2u128, Texts::Whole));
    }
}
