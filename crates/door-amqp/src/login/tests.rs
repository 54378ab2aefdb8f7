use super::*;
use crate::wire::table::{TableBuf, Value};

#[test]
fn a_table_says_what_a_plain_login_says() {
    let table = TableBuf::default()
        .with(b"LOGIN", Value::String(b"alice"))
        .with(b"PASSWORD", Value::String(b"secret"));
    assert_eq!(table_login(table.table().bytes()).unwrap(), b"\0alice\0secret");
    let table = TableBuf::default().with(b"LOGIN", Value::I32(5));
    assert_eq!(table_login(table.table().bytes()), None);
    assert_eq!(table_login(b"\0guest\0guest"), None);
}

#[tokio::test]
async fn where_nobody_asks_a_client_is_whom_the_transport_proved() {
    let gate = Gate::new(None, Principal::anonymous());
    assert_eq!(gate.mechanisms(), ["PLAIN", "AMQPLAIN", "ANONYMOUS"]);
    let login = gate.login("PLAIN", b"\0guest\0guest").await.unwrap();
    assert_eq!(login.principal, Principal::anonymous());
    let gate = Gate::new(None, Principal::user("CN=alice"));
    assert_eq!(gate.mechanisms()[0], "EXTERNAL");
    let login = gate.login("EXTERNAL", b"").await.unwrap();
    assert_eq!(login.principal, Principal::user("CN=alice"));
}
