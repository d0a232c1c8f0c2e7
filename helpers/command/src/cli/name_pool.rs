//! [`NamePool`]: names that come while the program runs, and stay as long as it does.

use std::cell::OnceCell;

/// How many names there are room for: a configuration that is read again brings four at most.
const CAPACITY: usize = 64;

/// The names that this program has been told of, each once.
#[derive(Debug)]
pub struct NamePool([OnceCell<String>; CAPACITY]);

impl Default for NamePool {
    fn default() -> Self {
        Self([const { OnceCell::new() }; CAPACITY])
    }
}

impl NamePool {
    /// The same name, which stays. `None` if there have been too many others.
    pub fn keep(&self, name: &str) -> Option<&str> {
        let kept = self.0.iter().map(|slot| slot.get_or_init(|| name.to_owned()).as_str());
        kept.into_iter().find(|kept| *kept == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_has_one_place() {
        let pool = NamePool::default();
        for turn in 0..3 {
            for name in ["a.example", "b.example"] {
                assert_eq!(pool.keep(name), Some(name), "{turn}");
            }
        }
        let others: Vec<String> = (0..CAPACITY).map(|n| format!("{n}.example")).collect();
        assert_eq!(others.iter().filter(|name| pool.keep(name).is_some()).count(), CAPACITY - 2);
        assert_eq!(pool.keep("a.example"), Some("a.example"), "those of old stay");
    }
}
