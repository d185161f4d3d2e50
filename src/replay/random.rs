//! Random numbers of a world: the same seed gives the same world.

/// A source of random numbers.
#[derive(Debug, Clone)]
pub struct Random(fastrand::Rng);

impl Random {
    /// The source that `seed` begins.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Random(fastrand::Rng::with_seed(seed))
    }

    /// Another source that this one begins.
    #[must_use]
    pub fn fork(&mut self) -> Random {
        Random(self.0.fork())
    }

    /// Uniform in 0..1.
    pub fn uniform(&mut self) -> f64 {
        self.0.f64()
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0.u64(..)
    }

    /// Below `count`, which is not 0.
    pub fn below(&mut self, count: usize) -> usize {
        self.0.usize(..count.max(1))
    }

    /// Standard normal (Box and Muller's method, one of its two numbers).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// Puts `items` into a random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        self.0.shuffle(items);
    }
}
