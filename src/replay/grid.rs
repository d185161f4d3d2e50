//! Values by number: of an endpoint, of a request, of a day.
//!
//! The numbers are given out by the world that the values belong to, so that
//! looking one up cannot fail.

use std::ops::{Index, IndexMut};

/// One value for each endpoint.
#[derive(Debug, Clone)]
pub struct Each<T>(Vec<T>);

impl<T: Clone> Each<T> {
    /// `count` times `value`.
    pub fn new(value: T, count: usize) -> Self {
        Each(vec![value; count])
    }
}

impl<T> Each<T> {
    /// All values in order.
    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.0.iter()
    }
}

impl<'e, T> IntoIterator for &'e Each<T> {
    type Item = &'e T;
    type IntoIter = std::slice::Iter<'e, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T> FromIterator<T> for Each<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        Each(values.into_iter().collect())
    }
}

#[expect(clippy::indexing_slicing, reason = "numbers are given out by the world")]
impl<T> Index<usize> for Each<T> {
    type Output = T;

    fn index(&self, number: usize) -> &T {
        &self.0[number]
    }
}

#[expect(clippy::indexing_slicing, reason = "numbers are given out by the world")]
impl<T> IndexMut<usize> for Each<T> {
    fn index_mut(&mut self, number: usize) -> &mut T {
        &mut self.0[number]
    }
}

/// One value for each endpoint in each row (a day, a request).
#[derive(Debug, Clone)]
pub struct Grid<T> {
    cells: Each<T>,
    width: usize,
}

impl<T: Clone> Grid<T> {
    /// `rows` rows of `width` times `value`.
    pub fn new(value: T, rows: usize, width: usize) -> Self {
        Grid { cells: Each::new(value, rows * width), width }
    }
}

impl<T> Index<(usize, usize)> for Grid<T> {
    type Output = T;

    fn index(&self, (row, column): (usize, usize)) -> &T {
        &self.cells[row * self.width + column]
    }
}

impl<T> IndexMut<(usize, usize)> for Grid<T> {
    fn index_mut(&mut self, (row, column): (usize, usize)) -> &mut T {
        &mut self.cells[row * self.width + column]
    }
}
