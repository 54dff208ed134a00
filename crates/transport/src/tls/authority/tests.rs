#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConnection, ServerConnection};

use super::*;
use crate::tls::{SwappableIdentity, client_config, server_config, server_config_swappable};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Both ends of a handshake in memory; the leaf the client saw, and the version.
fn handshake(
    client: Arc<rustls::ClientConfig>,
    server: Arc<rustls::ServerConfig>,
    name: &str,
) -> Result<(Vec<u8>, rustls::ProtocolVersion), rustls::Error> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(client, name)?;
    let mut server = ServerConnection::new(server)?;
    while client.is_handshaking() || server.is_handshaking() {
        let mut wire = Vec::new();
        client.write_tls(&mut wire).unwrap();
        server.read_tls(&mut &wire[..]).unwrap();
        server.process_new_packets()?;
        wire.clear();
        server.write_tls(&mut wire).unwrap();
        client.read_tls(&mut &wire[..]).unwrap();
        client.process_new_packets()?;
    }
    Ok((client.peer_certificates().unwrap()[0].to_vec(), client.protocol_version().unwrap()))
}

#[test]
fn servers_below_the_root_and_below_an_intermediate_are_trusted() {
    let root = create_ca("Root", DAY).unwrap();
    let intermediate = issue(&root, ca_params("Edge CA", DAY)).unwrap();
    for ca in [&root, &intermediate] {
        let issued = issue_server(ca, &names(&["hub.example.test", "127.0.0.1", "::1"]), DAY).unwrap();
        let server = server_config(issued.server_identity().unwrap());
        let client = client_config(Some(root.chain_pem.as_bytes())).unwrap();
        for name in ["hub.example.test", "127.0.0.1", "::1"] {
            handshake(client.clone(), server.clone(), name).unwrap();
        }
        assert!(handshake(client.clone(), server.clone(), "other.example.test").is_err());
        let strange = create_ca("Other root", DAY).unwrap();
        assert!(handshake(client_config(Some(strange.chain_pem.as_bytes())).unwrap(), server, "127.0.0.1").is_err());
    }
}

#[test]
fn both_tls_versions_are_spoken() {
    let root = create_ca("Root", DAY).unwrap();
    let issued = issue_server(&root, &names(&["localhost"]), DAY).unwrap();
    let server = server_config(issued.server_identity().unwrap());
    for version in [&TLS12, &TLS13] {
        let mut roots = rustls::RootCertStore::empty();
        let root = rustls::pki_types::pem::PemObject::from_pem_slice(root.chain_pem.as_bytes()).unwrap();
        roots.add(root).unwrap();
        let client = rustls::ClientConfig::builder_with_provider(crate::tls::provider())
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        assert_eq!(handshake(Arc::new(client), server.clone(), "localhost").unwrap().1, version.version);
    }
}

#[test]
fn a_swapped_identity_serves_the_next_handshake() {
    let root = create_ca("Root", DAY).unwrap();
    let issue = || issue_server(&root, &names(&["localhost"]), DAY).unwrap().server_identity().unwrap();
    let (first, second) = (issue(), issue());
    let leaves = [first.leaf_der().to_vec(), second.leaf_der().to_vec()];
    let identity = SwappableIdentity::new(first);
    let server = server_config_swappable(identity.clone());
    let client = client_config(Some(root.chain_pem.as_bytes())).unwrap();
    assert_eq!(handshake(client.clone(), server.clone(), "localhost").unwrap().0, leaves[0]);
    identity.swap(second);
    assert_eq!(handshake(client, server, "localhost").unwrap().0, leaves[1]);
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let root = create_ca("Root", DAY).unwrap();
    let (one, other) = (create_ca("One", DAY).unwrap(), create_ca("Other", DAY).unwrap());
    let mixed = Certified { chain_pem: one.chain_pem, key_pem: other.key_pem };
    assert!(matches!(mixed.server_identity(), Err(IdentityError::Mismatch(_))));
    let empty = ServerIdentity::from_pem(b"", mixed.key_pem.as_bytes());
    assert!(matches!(empty, Err(IdentityError::NoCertificate)));
    assert!(matches!(issue_server(&root, &[], DAY), Err(IssueError::NoName)));
    assert!(client_config(Some(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")).is_err());
}

#[test]
fn keys_stay_out_of_debug_output() {
    let root = create_ca("Root", DAY).unwrap();
    assert!(!format!("{root:?}").contains("PRIVATE"));
}
