#![allow(clippy::unwrap_used)]
use super::*;

#[test]
fn a_trust_bundle_of_the_largest_size_is_read_and_one_byte_more_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("roots.pem");
    let text = format!(
        "hostname = \"h\"\ntrust_bundle_cert = \"{}\"\n[provisioning]\nsource = \"manual\"\n\
         connection_string = \"HostName=hub;DeviceId=edge;SharedAccessKey=c2VjcmV0\"\n",
        path.display()
    );
    let config = Config::parse(Path::new("config.toml"), &text).unwrap();
    let day = std::time::Duration::from_secs(86_400);
    let mut pem = transport::tls::authority::create_ca("root", day).unwrap().chain_pem.into_bytes();
    pem.resize(KEY_FILE_BYTES_MAX as usize, b'\n');
    std::fs::write(&path, &pem).unwrap();
    let (_, bundle) = trust(&config, "ours\n").unwrap();
    assert_eq!(bundle.as_bytes(), ["ours\n".as_bytes(), &pem].concat());
    pem.push(b'\n');
    std::fs::write(&path, &pem).unwrap();
    let refusal = trust(&config, "ours\n").err().unwrap().to_string();
    let expected = format!("cannot use trust_bundle_cert {0}: {0} has 1048577 bytes, more than", path.display());
    assert!(refusal.starts_with(&expected), "{refusal}");
}

#[test]
fn few_descriptors_are_shared_with_the_hub_above() {
    for (room, connections) in
        [(2 * CONNECTIONS_MAX, CONNECTIONS_MAX), (3 * CONNECTIONS_MAX, CONNECTIONS_MAX), (20, 10)]
    {
        let limits = server_limits(room);
        assert_eq!((limits.connections_max, limits.strangers_max), (connections, STRANGERS_MAX), "{room}");
    }
}
