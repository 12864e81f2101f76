//! What docs/nginx.md tells people to write is what nginx takes.

#[test]
fn the_guides_configurations_are_valid() {
    let guide = include_str!("../../../../docs/nginx.md");
    let blocks: Vec<&str> = guide.split("```nginx\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    let [load, traced] = blocks[..] else { panic!("{} blocks", blocks.len()) };
    let module = crate::server::module();
    let load = load.replace("/path/to/ngx_http_rootspan_module.so", &module.display().to_string());
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = format!("{load} pid nginx.pid; events {{}} http {{ access_log off; {traced} }}");
    std::fs::write(folder.path().join("nginx.conf"), config).expect("the folder is ours");
    let mut nginx = crate::server::nginx();
    nginx.args(["-t", "-e", "error.log", "-c", "nginx.conf", "-p"]).arg(folder.path());
    let output = nginx.output().expect("nginx is installed");
    assert!(output.status.success(), "{traced}: {}", String::from_utf8_lossy(&output.stderr));
}
