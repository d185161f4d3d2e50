//! Rules of the house that no compiler holds: who may use whom, who may send,
//! how long a file may be. Each rule is a function from text to complaints, and
//! is tried on a sample that breaks it before it is applied to the tree.

mod image;
mod rules;
mod source;
mod tree;
