//! The normal distribution, as far as times that are log-normal need it.

/// Standard normal quantile of 0.95.
pub const Z95: f64 = 1.645;

/// P(Z ≤ `z`) of a standard normal Z. Abramowitz and Stegun 7.1.26, whose
/// absolute error is below 1.5 × 10⁻⁷.
#[must_use]
pub fn below(z: f64) -> f64 {
    let x = z.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let polynomial = t
        * (0.254_829_592
            + t * (-0.284_496_736 + t * (1.421_413_741 + t * (-1.453_152_027 + t * 1.061_405_429))));
    let upper = 0.5 * polynomial * (-x * x).exp();
    if z > 0.0 { 1.0 - upper } else { upper }
}

/// The mean of what lies above `z` in a standard normal distribution: by how
/// many standard deviations a value is expected to lie
/// above the mean when all that is known is that it exceeds `z`.
#[must_use]
pub fn mean_above(z: f64) -> f64 {
    /// Above this the quotient loses its digits and the asymptotic series is
    /// exact to 0.3 %.
    const FAR: f64 = 4.0;
    if z > FAR {
        return z + 1.0 / z - 2.0 / z.powi(3);
    }
    let density = (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt();
    density / (1.0 - below(z))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_tables() {
        for (z, p) in [(-3.0, 0.001_350), (-1.0, 0.158_655), (0.0, 0.5), (1.0, 0.841_345), (Z95, 0.950_015)] {
            assert!((below(z) - p).abs() < 1e-5, "{z}");
        }
        for (z, mean) in [(-3.0, 0.004_438), (0.0, 0.797_885), (2.0, 2.373_216), (5.0, 5.186_504)] {
            assert!((mean_above(z) - mean).abs() < 4e-3, "{z}: {}", mean_above(z));
        }
    }

    #[test]
    fn what_is_above_lies_above() {
        let mut z = -6.0;
        while z < 40.0 {
            assert!(mean_above(z) > z, "{z}");
            z += 0.01;
        }
    }
}
