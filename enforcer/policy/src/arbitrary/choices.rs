//! Where the choices of a random case come from.

/// Where choices come from: a seed, or bytes that a test shrinks.
#[derive(Clone, Debug)]
pub struct Choices {
    seed: u64,
    bytes: Option<std::vec::IntoIter<u8>>,
}

impl Choices {
    /// The same choices for the same seed, on every host.
    #[must_use]
    pub const fn from_seed(seed: u64) -> Self {
        Self { seed, bytes: None }
    }

    /// One choice a byte; after the last, always the first alternative.
    #[must_use]
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self {
            seed: 0,
            bytes: Some(bytes.into_iter()),
        }
    }

    /// A number below `count`, which is 1 to 256.
    pub(super) fn below(&mut self, count: usize) -> usize {
        let drawn = match &mut self.bytes {
            Some(bytes) => u64::from(bytes.next().unwrap_or(0)),
            None => self.splitmix() >> 32,
        };
        usize::try_from(drawn).unwrap_or(0) % count.max(1)
    }

    /// SplitMix64 (Steele, Lea, Flood 2014).
    fn splitmix(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.seed;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == count - 1
    }

    pub(super) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    pub(super) fn several(
        &mut self,
        most: usize,
        mut one: impl FnMut(&mut Self) -> String,
    ) -> String {
        let count = 1 + self.below(most);
        let items: Vec<String> = (0..count).map(|_| format!("\"{}\"", one(self))).collect();
        format!("[{}]", items.join(", "))
    }
}
