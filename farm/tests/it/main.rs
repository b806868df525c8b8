//! The farm from outside: stories in a table language, and properties of any story.

mod money;
mod stories;
mod table;
