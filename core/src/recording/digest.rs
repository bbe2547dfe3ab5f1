//! Digests of actions: 32 bits that tell whether a replay did the same. Not a defence against anybody.

use core::hash::{Hash, Hasher};

/// What a digest covers of texts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Texts {
    /// Every byte.
    Whole,
    /// Only how long they are: a recording whose texts are stand-ins of the same length has the same digests.
    Lengths,
}

/// The digest of a value. It depends on nothing but the value: not on the machine, and not on the process.
pub fn digest<T: Hash + ?Sized>(value: &T, texts: Texts) -> u32 {
    let mut mixer = Mixer {
        state: 0x243f_6a88_85a3_08d3,
        texts,
    };
    value.hash(&mut mixer);
    (mixer.state ^ mixer.state >> 32) as u32
}

/// Folds words of eight bytes into a state by long multiplication.
struct Mixer {
    state: u64,
    texts: Texts,
}

impl Mixer {
    const fn mix(&mut self, word: u64) {
        self.state = folded(self.state ^ word);
    }
}

const fn folded(word: u64) -> u64 {
    let product = word as u128 * 0x9e37_79b9_7f4a_7c15;
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
        // Four at a time, as they do not wait for each other.
        let (quads, rest) = bytes.as_chunks::<32>();
        if !quads.is_empty() {
            let mut lanes = [1, 2, 3, 4].map(|lane| self.state.wrapping_add(lane));
            for quad in quads {
                for (lane, word) in lanes.iter_mut().zip(quad.as_chunks::<8>().0) {
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

    /// Recordings are replayed elsewhere and later.
    #[test]
    fn digests_are_the_same_everywhere() {
        assert_eq!(both("x"), [2_880_740_754, 2_391_892_916]);
    }
}
