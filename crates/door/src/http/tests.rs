use std::sync::Arc;

use base::Principal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// Longer than anything here takes; only a hang gets there.
const HANG: Duration = Duration::from_secs(30);

fn headers(of: &[(HeaderName, &'static str)]) -> HeaderMap {
    of.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
}

/// Serves one connection with an echo of what was asked, sends it these bytes, and returns all that it answers.
async fn exchange(sent: &[u8], bytes_max: usize) -> (String, Result<(), CloseReason>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let (_stop, stopping) = watch::channel(false);
    let transport = Transport { stream: stream.into(), room: RequestRoom::unlimited(), stopping };
    let admit = |head: Request| async move {
        let known = head.headers.get(header::FROM).is_none_or(|from| from != "nobody");
        known.then_some(()).ok_or_else(|| Answer::empty(StatusCode::UNAUTHORIZED))
    };
    let echo = |(), request: Request| async move {
        let path: Vec<_> = request.path.iter().map(|part| String::from_utf8_lossy(part)).collect();
        let told = format!("{} {} {}", request.method, path.join("|"), request.body.len());
        Answer::json(StatusCode::OK, told)
    };
    let serving = serve(transport, bytes_max, admit, echo);
    let talking = async {
        // Who is cut off in the middle of a request still reads the answer.
        let _cut = client.write_all(sent).await;
        let mut answered = Vec::new();
        let _cut = client.read_to_end(&mut answered).await;
        String::from_utf8_lossy(&answered).into_owned()
    };
    let (ended, answered) = timeout(HANG, async { tokio::join!(serving, talking) }).await.unwrap();
    (answered, ended)
}

#[tokio::test]
async fn requests_are_answered_one_after_the_other() {
    let sent = b"GET /api/a%2Fb/ HTTP/1.1\r\nHost: h\r\n\r\n\
        POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc\
        PUT /y HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n\
        HEAD /z HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    let (answered, ended) = exchange(sent, 1000).await;
    assert!(ended.is_ok(), "{ended:?}");
    let bodies: Vec<_> = answered.split("\r\n\r\n").skip(1).collect();
    assert!(bodies[0].starts_with("GET api|a/b 0HTTP/1.1 200 OK"), "{answered}");
    assert!(bodies[1].starts_with("POST x 3HTTP/1.1"), "{answered}");
    assert!(bodies[2].starts_with("PUT y 2HTTP/1.1"), "{answered}");
    assert_eq!(bodies[3], "", "what is asked for its head has no body");
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_whether_or_not_it_says_so() {
    for sent in [
        &b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\nabcdefghijk"[..],
        b"POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nabcdefghijk\r\n0\r\n\r\n",
    ] {
        let (answered, _) = exchange(sent, 10).await;
        assert!(answered.starts_with("HTTP/1.1 413 Payload Too Large\r\n"), "{answered}");
    }
}

#[tokio::test]
async fn of_who_is_not_admitted_no_body_is_waited_for() {
    let sent = b"PUT /x HTTP/1.1\r\nHost: h\r\nFrom: nobody\r\nContent-Length: 1000\r\n\r\n";
    let (answered, _) = exchange(sent, 1000).await;
    assert!(answered.starts_with("HTTP/1.1 401 Unauthorized\r\n"), "{answered}");
    let sent = b"GET /x HTTP/1.1\r\nHost: h\r\nFrom: nobody\r\n\r\n\
        GET /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    let (answered, _) = exchange(sent, 1000).await;
    assert!(answered.contains("200 OK"), "the next one may say who it is: {answered}");
}

#[tokio::test]
async fn what_is_not_http_ends_the_connection() {
    let (answered, ended) = exchange(b"\x00\x01\x02\x03\r\n\r\n", 10).await;
    assert!(answered.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answered}");
    assert!(matches!(ended, Err(CloseReason::Protocol(_))), "{ended:?}");
    let long = [b"GET /", &[b'a'; 2 * HEAD_BYTES_MAX][..], b" HTTP/1.1\r\n\r\n"].concat();
    let (_, ended) = exchange(&long, 10).await;
    assert!(ended.is_err(), "a head without an end is not waited for");
}

#[tokio::test(start_paused = true)]
async fn who_takes_nothing_of_an_answer_is_not_waited_for() {
    let (client, server) = tokio::io::duplex(16);
    let mut stream = Impatient::new(server, PATIENCE);
    let written = stream.write_all(&[0; 64]).await;
    assert_eq!(written.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
    drop(client);
}

#[test]
fn a_target_is_taken_apart_as_it_is_meant() {
    assert!(query::path("/").is_empty());
    assert_eq!(query::path("/a//b%20c/%2F/"), ["a", "", "b c", "/"]);
    assert_eq!(escape(b"a.b-c_d~/ \xff"), "a.b-c_d%7E%2F%20%FF");
    let query = Query::parse("name=a+b%26&page=2&&use_regex=true&flag");
    assert_eq!((query.get("name"), query.get("page")), (Some("a b&"), Some("2")));
    assert_eq!((query.get("flag"), query.get("none")), (Some(""), None));
    assert!(query.is("use_regex") && !query.is("page"));
}

#[test]
fn a_name_and_a_password_are_read_as_the_standard_says() {
    // The example of RFC 7617, section 2.
    let aladdin = headers(&[(header::AUTHORIZATION, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")]);
    assert_eq!(name_said(&aladdin).as_deref(), Some("Aladdin"));
    for bad in ["Bearer abc", "Basic", "Basic !!!", "Basic QWxhZGRpbg=="] {
        assert_eq!(name_said(&headers(&[(header::AUTHORIZATION, bad)])), None, "{bad}");
    }
}

#[tokio::test]
async fn where_nobody_asks_everybody_is_who_the_transport_proved() {
    let none: Option<&Arc<crate::Logins>> = None;
    let who = Principal::user("CN=me");
    let login = log_in(none, &who, &HeaderMap::new()).await.unwrap();
    assert_eq!(login.principal, who);
}

#[test]
fn a_page_of_another_site_is_told_from_our_own() {
    let request = |of: &[(HeaderName, &'static str)]| Request {
        method: Method::POST,
        path: Vec::new(),
        query: Query::default(),
        headers: headers(of),
        body: Bytes::new(),
    };
    let host = (header::HOST, "localhost:15672");
    assert!(!request(std::slice::from_ref(&host)).is_cross_site(), "no page at all");
    let own = (header::ORIGIN, "http://localhost:15672");
    assert!(!request(&[host.clone(), own]).is_cross_site());
    for other in ["http://evil.example", "null", "http://localhost:8080", ""] {
        assert!(request(&[host.clone(), (header::ORIGIN, other)]).is_cross_site(), "{other}");
    }
}

#[tokio::test]
async fn what_comes_piece_by_piece_is_sent_as_it_comes() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let (_stop, stopping) = watch::channel(false);
    let transport = Transport { stream: stream.into(), room: RequestRoom::unlimited(), stopping };
    let (sender, receiver) = pieces();
    let taken = Mutex::new(Some(receiver));
    let admit = |_head: Request| async { Ok::<(), Answer>(()) };
    let handle = |(), _request: Request| {
        let more = taken.lock().take();
        async move { Reply::Stream(Answer::empty(StatusCode::OK), more.unwrap()) }
    };
    let talking = async {
        client.write_all(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut read = Vec::new();
        for piece in ["one", "two"] {
            sender.send(piece.into()).await.unwrap();
            // The first is there before the second is sent.
            while !String::from_utf8_lossy(&read).contains(piece) {
                assert!(client.read_buf(&mut read).await.unwrap() > 0);
            }
        }
        drop(sender);
        client.read_to_end(&mut read).await.unwrap();
        String::from_utf8(read).unwrap()
    };
    let serving = serve(transport, 1000, admit, handle);
    let (ended, read) = timeout(HANG, async { tokio::join!(serving, talking) }).await.unwrap();
    assert!(ended.is_ok(), "{ended:?}");
    assert!(read.contains("transfer-encoding: chunked"), "{read}");
    assert!(read.ends_with("3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"), "{read}");
}
