//! Stories by seed. A failing one prints the line that repeats it.

