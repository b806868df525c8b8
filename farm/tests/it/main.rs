//! The farm from outside: stories in a table language, and properties of any story.

#![allow(clippy::unwrap_used)]

mod appeals;
mod chains;
mod models;
mod money;
mod probation;
mod receipt;
mod seals;
mod stakes;
mod stories;
mod table;
mod validators;
