//! The `merit` binary: hands the command line over to [`merit::cli`].

/// Memory per open stream counts as much as speed; mimalloc gives freed pages
/// back and is the fastest of the usual allocators for many small buffers.
/// Without transparent huge pages (`no_thp`): with them an idle gateway occupies
/// 25 MiB instead of 15, and requests are not answered any faster.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    merit::cli::run()
}
