//! Live state that others read: statistics, health, prices, quality.
