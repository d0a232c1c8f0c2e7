//! The command `bringup`; see [`bringup::cli`].
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    bringup::cli::main()
}
