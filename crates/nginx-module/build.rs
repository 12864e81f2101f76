//! The module stays mapped once it is loaded: a worker that ends unloads its modules, and an exporter that is still
//! waiting for a dead collector must not lose the code under its feet.

fn main() {
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    println!("cargo:rerun-if-changed=build.rs");
}
