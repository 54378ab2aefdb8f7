use super::OFFERED;

/// The page that users read, and the table that clients are told.
#[test]
fn the_page_says_what_is_offered() {
    let page = include_str!("../../../../docs/doors/kafka.md");
    let table = page.split("| request | versions | notes |\n|---|---|---|\n").nth(1).unwrap();
    let mut said = Vec::new();
    for row in table.lines().take_while(|line| line.starts_with('|')) {
        let mut cells = row.split('|').skip(1).map(str::trim);
        let (names, versions) = (cells.next().unwrap(), cells.next().unwrap());
        let names: Vec<_> = names.split(", ").collect();
        let versions: Vec<_> = versions.split(", ").collect();
        assert_eq!(names.len(), versions.len(), "{row}");
        for (name, range) in names.into_iter().zip(versions) {
            let (low, high) = range.split_once('–').unwrap_or((range, range));
            said.push((name, low.parse::<i16>().unwrap(), high.parse::<i16>().unwrap()));
        }
    }
    let mut offered: Vec<_> = OFFERED.iter().map(|(api, l, h)| (api.name(), *l, *h)).collect();
    said.sort_unstable();
    offered.sort_unstable();
    assert_eq!(said, offered);
}
