//! The program: everything is in the library.

use std::process::ExitCode;

/// Attempts live for milliseconds and allocate dozens of small things on whichever thread is free; the C library gives
/// memory back and asks for it again all the while.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    forewarn::cli::main()
}
