//! What a token says of itself, compared with what is asked of it.

use base::Millis;
use serde_json::Value;

use super::{TokenOptions, Valid};

/// Seconds past this are a mistake: the year 9999 is before it.
const SECONDS_MAX: f64 = 1e12;

pub(super) struct Claims<'a>(pub(super) &'a Value);

impl Claims<'_> {
    pub(super) fn check(&self, options: &TokenOptions, now: Millis) -> Result<Valid, String> {
        let skew = Millis::try_from(options.clock_skew.as_millis()).unwrap_or(Millis::MAX);
        let expires = self.time("exp")?.ok_or("it does not say when it ends (exp)")?;
        if now.saturating_sub(skew) >= expires {
            return Err("it has expired".into());
        }
        for name in ["nbf", "iat"] {
            if self.time(name)?.is_some_and(|begins| begins > now.saturating_add(skew)) {
                return Err(format!("it is not valid yet ({name})"));
            }
        }
        if let Some(issuer) = &options.issuer
            && self.text("iss") != Some(issuer)
        {
            return Err(format!("its issuer is {:?}, not {issuer:?}", self.text("iss")));
        }
        if !options.audiences.is_empty() && !self.is_for(&options.audiences) {
            return Err("it is for another audience".into());
        }
        let claim = &options.subject_claim;
        let subject = self.text(claim).map(str::trim).filter(|name| !name.is_empty());
        let subject = subject.ok_or_else(|| format!("it does not say whose it is ({claim})"))?;
        if subject.len() > base::limits::USER_NAME_BYTES_MAX {
            return Err(format!("the name in {claim} is too long"));
        }
        Ok(Valid { subject: subject.to_owned(), expires })
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    /// Seconds since 1970, which may have a fraction.
    #[allow(clippy::cast_possible_truncation, reason = "the range is checked before")]
    fn time(&self, name: &str) -> Result<Option<Millis>, String> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        let seconds = value.as_f64().filter(|seconds| seconds.abs() < SECONDS_MAX);
        let seconds = seconds.ok_or_else(|| format!("its {name} is not a time"))?;
        Ok(Some((seconds * 1000.0) as Millis))
    }

    fn is_for(&self, wanted: &[String]) -> bool {
        let is_wanted = |value: &Value| {
            value.as_str().is_some_and(|given| wanted.iter().any(|wanted| wanted == given))
        };
        match self.0.get("aud") {
            Some(Value::Array(given)) => given.iter().any(is_wanted),
            Some(given) => is_wanted(given),
            None => false,
        }
    }
}
