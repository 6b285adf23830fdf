//! x
#[test]
fn dump() {
    println!("{}", serde_json::to_string_pretty(&forewarn::config::schema::schema()).unwrap());
}
