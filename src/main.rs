//! The `orthoformer` program; all of it is in [`orthoformer::cli`].

fn main() -> std::process::ExitCode {
    orthoformer::cli::main()
}
