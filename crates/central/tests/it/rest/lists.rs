//! Lists: pages, filters, orders.

use serde_json::{Value, json};

use super::client::Rest;
use crate::central::{TestCentral, data, on_both_databases};
use central::database::Database;

on_both_databases!(pages_carry_filter_and_order_along);

async fn ids_over_pages(rest: &Rest, first: &str) -> Vec<String> {
    let mut ids = Vec::new();
    let mut page = rest.get(first).await;
    loop {
        ids.extend(page["value"].as_array().unwrap().iter().map(|device| device["id"].as_str().unwrap().to_owned()));
        let Some(link) = page["nextLink"].as_str() else { return ids };
        page = rest.follow(link).await.body;
    }
}

async fn pages_carry_filter_and_order_along(database: Database) {
    let (_dir, data) = data();
    let central = TestCentral::start_on(&database, &data).await;
    let rest = Rest::new(&central);
    for n in 0..7 {
        let name = format!("Pump {}", 9 - n);
        rest.put(&format!("/api/devices/d{n}"), json!({ "displayName": name, "enabled": n != 3 })).await;
    }
    assert_eq!(ids_over_pages(&rest, "/api/devices?maxpagesize=3").await, ["d0", "d1", "d2", "d3", "d4", "d5", "d6"]);
    let filtered = "/api/devices?$top=2&$filter=enabled%20eq%20true%20and%20contains(displayName,'pump')&$orderby=displayName%20asc";
    assert_eq!(ids_over_pages(&rest, filtered).await, ["d6", "d5", "d4", "d2", "d1", "d0"]);
    let none = rest.get("/api/devices?filter=template%20eq%20'dtmi:none;1'").await;
    assert_eq!(none, json!({ "value": [] }));
    for wrong in [
        "filter=nonsense",
        "filter=color%20eq%20'red'",
        "filter=enabled%20eq%20'yes'",
        "maxpagesize=0",
        "maxpagesize=101",
        "orderby=id",
        "$skiptoken=guess",
        "expand=everything",
    ] {
        let refused = rest.refused("GET", &format!("/api/devices?{wrong}"), Value::Null).await;
        assert_eq!((refused.0, refused.1.as_str()), (400, "BadRequest"), "{wrong}");
    }
    central.stop().await;
}

#[tokio::test]
async fn short_lists_have_pages_too() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let rest = Rest::new(&central);
    let page = rest.get("/api/enrollmentGroups?maxpagesize=1").await;
    assert_eq!(page["value"][0]["id"], "SAS-IoT-Devices");
    let next = rest.follow(page["nextLink"].as_str().unwrap()).await.body;
    assert_eq!(next["value"][0]["id"], "SAS-IoT-Edge-Devices");
    assert_eq!(next.get("nextLink"), None);
    central.stop().await;
}
