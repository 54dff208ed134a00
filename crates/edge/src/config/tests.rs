//! Golden files: each in `golden/` is a configuration and, beside it, what comes of it.
#![allow(clippy::unwrap_used)]

use super::*;

/// Every `NAME.toml` with its `NAME.expected`: the error, or `ok` and what is without effect.
#[test]
fn golden_files() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/config/golden");
    let mut names: Vec<_> = std::fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    names.sort();
    assert!(names.len() >= 10, "{names:?}");
    for path in names {
        let text = std::fs::read_to_string(&path).unwrap();
        let found = match Config::parse(Path::new("config.toml"), &text) {
            Ok(config) => {
                let warnings = config.warnings.iter().map(|warning| format!("warning: {warning}\n"));
                let unused =
                    (!config.unused.is_empty()).then(|| format!(", without effect: {}", config.unused.join(", ")));
                warnings.chain([format!("ok{}\n", unused.unwrap_or_default())]).collect()
            }
            Err(error) => format!("{error}\n"),
        };
        let expected_path = path.with_extension("expected");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&expected_path, &found).unwrap();
        }
        let expected = std::fs::read_to_string(&expected_path).unwrap();
        assert_eq!(found, expected, "{}", path.display());
    }
}

fn full() -> Config {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/config/golden/dps.toml");
    Config::load(&path).unwrap()
}

#[test]
fn every_setting_arrives() {
    let config = full();
    assert_eq!(config.hostname, "gateway.local");
    assert_eq!(config.trust_bundle_cert.as_deref(), Some(Path::new("/etc/tidegate/ca.pem")));
    let Provisioning::Dps(enrollment) = &config.provisioning else { panic!("{:?}", config.provisioning) };
    assert_eq!(enrollment.endpoint, "https://central.local:8443");
    assert_eq!((enrollment.id_scope.as_str(), enrollment.registration_id.as_str()), ("0ne00000001", "edge-1"));
    assert_eq!(config.data_dir, Path::new("/data"));
    assert_eq!(config.listen_mqtts, "127.0.0.1:0".parse().unwrap());
    assert_eq!(config.listen_metrics, Some("127.0.0.1:9600".parse().unwrap()));
    assert_eq!(config.queues_disk_bytes_max, 512 << 20);
    assert_eq!((config.upstream_mqtts_port, config.upstream_https_port), (18883, Some(8443)));
    assert_eq!(config.processes.find("example.com/filter:9").unwrap().args, ["/opt/filter.py"]);
    assert_eq!(config.processes.find("example.com/sensor:1").unwrap().program, "sensor");
}

#[test]
fn a_file_of_the_original_has_its_listeners_and_ours_names_them() {
    let read = |ours: &str| {
        let text = format!(
            "hostname = \"h\"\n[provisioning]\nsource = \"manual\"\n\
             connection_string = \"HostName=hub;DeviceId=edge;SharedAccessKey=c2VjcmV0\"\n{ours}"
        );
        let config = Config::parse(Path::new("config.toml"), &text).map_err(|error| error.to_string())?;
        Ok::<_, String>(config.listen_https.map(|address| address.to_string()))
    };
    for (ours, https) in [
        ("", Some("0.0.0.0:443")),
        ("[tidegate]\nmax_disk = \"1GiB\"\n", Some("0.0.0.0:443")),
        ("[tidegate]\nlisten_mqtts = \"127.0.0.1:0\"\n", None),
        ("[tidegate]\nlisten_mqtts = \"127.0.0.1:0\"\nlisten_https = \"127.0.0.1:8443\"\n", Some("127.0.0.1:8443")),
        ("[tidegate]\nlisten_https = \"off\"\n", None),
    ] {
        assert_eq!(read(ours).unwrap().as_deref(), https, "{ours}");
    }
    let error = read("[tidegate]\nlisten_https = \"443\"\n").unwrap_err();
    assert_eq!(error, "config.toml: tidegate.listen_https is \"443\", neither ADDRESS:PORT nor \"off\"");
}

#[test]
fn the_plants_own_authority_and_sockets_arrive() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/config/golden/plant-ca.toml");
    let config = Config::load(&path).unwrap();
    let path = PathBuf::from;
    let edge_ca = EdgeCa { certificate: path("/var/secrets/edge-ca.pem"), key: path("/var/secrets/edge-ca.key.pem") };
    assert_eq!(config.edge_ca, Some(edge_ca));
    assert_eq!(config.management_socket(), path("/run/tidegate/mgmt.sock"));
    assert_eq!(config.management_socket_to_ask(), path("/run/elsewhere/mgmt.sock"));
    assert_eq!(config.log_level, LevelFilter::DEBUG);
    let config = full();
    assert_eq!((config.edge_ca.is_none(), config.log_level), (true, LevelFilter::INFO));
    assert_eq!(config.management_socket(), path("/data/mgmt.sock"));
    assert_eq!(config.management_socket_to_ask(), path("/data/mgmt.sock"));
}

#[test]
fn secrets_are_not_printed() {
    assert!(!format!("{:?}", full()).contains("c2VjcmV0"));
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Config::load(Path::new("/no/such/config.toml")).unwrap_err();
    assert_eq!(error.to_string(), "cannot read the configuration file /no/such/config.toml");
}

#[test]
fn a_file_of_the_largest_size_is_read_and_one_byte_more_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/config/golden/dps.toml");
    let path = dir.path().join("config.toml");
    let mut text = std::fs::read(golden).unwrap();
    text.resize(limits::CONFIG_BYTES_MAX as usize, b'\n');
    std::fs::write(&path, &text).unwrap();
    assert_eq!(Config::load(&path).unwrap().hostname, "gateway.local");
    text.push(b'\n');
    std::fs::write(&path, &text).unwrap();
    let error = crate::error_chain(&Config::load(&path).unwrap_err());
    let path = path.display();
    assert_eq!(error, format!("cannot read the configuration file {path}: it has more than the 1048576 bytes allowed"));
}

#[test]
fn a_key_file_of_the_largest_size_is_read_and_one_byte_more_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    let text = |uri: &str| {
        format!(
            "hostname = \"h\"\n[provisioning]\nsource = \"manual\"\niothub_hostname = \"hub\"\ndevice_id = \"d\"\n\
             authentication = {{ method = \"sas\", device_id_pk = {{ uri = \"{uri}\" }} }}\n"
        )
    };
    let key = |uri: &str| match Config::parse(Path::new("config.toml"), &text(uri)).unwrap().provisioning {
        Provisioning::Manual(HubIdentity { proof: DeviceProof::Key(key), .. }) => key,
        other => panic!("{other:?}"),
    };
    let mut contents = b"c2VjcmV0\n".to_vec();
    contents.resize(limits::KEY_FILE_BYTES_MAX as usize, b'\n');
    std::fs::write(&path, &contents).unwrap();
    assert_eq!(key(path.to_str().unwrap()).reveal().unwrap(), "c2VjcmV0");
    contents.push(b'\n');
    std::fs::write(&path, &contents).unwrap();
    // A file that has no end says that it has no bytes.
    for path in [path.to_str().unwrap(), "/dev/zero"] {
        let error = crate::error_chain(&key(path).check_readable().unwrap_err());
        assert_eq!(error, format!("cannot read the key file {path}: it has more than the 1048576 bytes allowed"));
    }
}

#[test]
fn a_certificate_takes_the_place_of_a_key() {
    let manual = |rest: &str| {
        format!(
            "hostname = \"h\"\n[provisioning]\nsource = \"manual\"\niothub_hostname = \"hub\"\ndevice_id = \"d\"\n\
             [provisioning.authentication]\n{rest}\n"
        )
    };
    let dps = |rest: &str| {
        format!(
            "hostname = \"h\"\n[provisioning]\nsource = \"dps\"\nid_scope = \"s\"\n\
             [provisioning.attestation]\nregistration_id = \"d\"\n{rest}\n"
        )
    };
    let read = |text: &str| Config::parse(Path::new("config.toml"), text).map(|config| config.provisioning);
    let files = "method = \"x509\"\nidentity_cert = \"file:///c.pem\"\nidentity_pk = \"file:///k.pem\"";
    let certificate = IdentityCertificate { certificate: "/c.pem".into(), key: "/k.pem".into() };
    for text in [manual(files), dps(files)] {
        assert_eq!(read(&text).unwrap().certificate(), Some(&certificate), "{text}");
    }
    for (rest, said) in [
        ("method = \"x509\"\nidentity_pk = \"file:///k.pem\"", "identity_cert is missing"),
        ("method = \"x509\"\nidentity_cert = \"file:///c.pem\"", "identity_pk is missing"),
        ("method = \"x509\"\nidentity_cert = { method = \"est\" }\nidentity_pk = \"file:///k\"", "only file:///PATH"),
        ("method = \"x509\"\nidentity_cert = \"file:///c\"\nidentity_pk = \"pkcs11:a\"", "only file:///PATH"),
        ("method = \"tpm\"", "are known"),
    ] {
        for text in [manual(rest), dps(rest)] {
            let error = crate::error_chain(&read(&text).unwrap_err());
            assert!(error.contains(said), "{rest}: {error}");
        }
    }
    let both = format!("{files}\nsymmetric_key = {{ value = \"c2VjcmV0\" }}");
    assert!(crate::error_chain(&read(&dps(&both)).unwrap_err()).contains("names a key"));
    let mixed = "method = \"sas\"\ndevice_id_pk = { value = \"c2VjcmV0\" }\nidentity_cert = \"file:///c\"";
    assert!(crate::error_chain(&read(&manual(mixed)).unwrap_err()).contains("names a certificate"));
}

#[test]
fn host_names() {
    for good in ["a", "edge-1.example.com", "127.0.0.1", "under_score"] {
        assert_eq!(check_hostname("hostname", good), Ok(()), "{good}");
    }
    for bad in ["", "-a", "a-", "a..b", "a b", &"a".repeat(65)] {
        assert!(check_hostname("hostname", bad).is_err(), "{bad}");
    }
}
