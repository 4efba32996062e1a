export CARGO_TARGET_DIR := env("CARGO_TARGET_DIR", env("HOME") / ".cache/argiope-target")

# Format, lints and all tests but the heavy ones.
check:
    cargo fmt --all -- --check
    cargo clippy --workspace --all-targets -- -D warnings
    cargo nextest run --workspace -E 'not (test(/(^|::)fault_/) | test(/(^|::)heavy/))'

# All tests, the heavy ones too.
it:
    ./check

# Rewrites the sources in our form.
fmt:
    cargo fmt --all

# All benches, or those named.
bench *names:
    cargo bench --workspace {{ names }}
