//! What is said aloud to the artist while a scene loads. Knows nothing of what is said.

/// Most notes kept; the rest are counted.
const NOTES_MAX: usize = 64;
/// Longest note, in bytes; names in it are a stranger's.
const NOTE_BYTES_MAX: usize = 1024;

/// Notes in the order they were said, each once.
#[derive(Debug, Default)]
pub struct Notes {
    said: Vec<String>,
    unsaid: usize,
}

impl Notes {
    /// Says something once.
    pub fn say(&mut self, note: impl Into<String>) {
        let mut note = note.into();
        if note.len() > NOTE_BYTES_MAX {
            note.truncate(note.floor_char_boundary(NOTE_BYTES_MAX));
            note.push('…');
        }
        if self.said.contains(&note) {
            return;
        }
        if self.said.len() < NOTES_MAX {
            self.said.push(note);
        } else {
            self.unsaid += 1;
        }
    }

    /// All notes; the last one counts those left out.
    pub fn into_vec(mut self) -> Vec<String> {
        if self.unsaid > 0 {
            self.said.push(format!("{} further notes left out", self.unsaid));
        }
        self.said
    }
}
