//! Where the large providers give out tokens, and for which scope (facts on providers, §4).

use super::Grant;

/// The addresses and the scope of one provider, one way of getting tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preset {
    /// Where tokens are given out (`oauth_token_url`).
    pub token_url: String,
    /// Where the device-code flow begins; none where no person has to consent.
    pub device_url: Option<String>,
    /// What the token is for (`oauth_scope`).
    pub scope: &'static str,
    /// How tokens are got.
    pub grant: Grant,
}

/// Google, on behalf of a user.
///
/// Google's device-code flow takes only a short list of scopes, and at the time of writing the one
/// for mail is not on it
/// (<https://developers.google.com/identity/protocols/oauth2/limited-input-device#allowedscopes>);
/// the refusal is explained then, and the refresh token has to come from Google's flow for desktop
/// programs.
pub fn google() -> Preset {
    Preset {
        token_url: "https://oauth2.googleapis.com/token".to_owned(),
        device_url: Some("https://oauth2.googleapis.com/device/code".to_owned()),
        scope: "https://mail.google.com/",
        grant: Grant::RefreshToken,
    }
}

/// Microsoft, on behalf of a user; `tenant` is a tenant's id or name, `consumers` for Outlook.com,
/// `common` for either.
pub fn microsoft(tenant: &str) -> Preset {
    Preset {
        token_url: format!("https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token"),
        device_url: Some(format!(
            "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/devicecode"
        )),
        scope: "https://outlook.office.com/SMTP.Send offline_access",
        grant: Grant::RefreshToken,
    }
}

/// Microsoft 365 as an application, without a user (client credentials); `tenant` must be the
/// tenant's own id or name.
pub fn microsoft_app(tenant: &str) -> Preset {
    Preset {
        token_url: format!("https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token"),
        device_url: None,
        scope: "https://outlook.office365.com/.default",
        grant: Grant::ClientCredentials,
    }
}

/// The preset that belongs to a mail provider's name (`provider = "gmail"`), when it has one;
/// Microsoft's with the tenant that fits most.
pub fn for_provider(provider: &str) -> Option<Preset> {
    match provider {
        "gmail" => Some(google()),
        "outlook" => Some(microsoft("consumers")),
        "office365" => Some(microsoft("common")),
        _ => None,
    }
}

/// The address where the device-code flow begins, derived from a token address of Google or
/// Microsoft.
pub fn device_url(token_url: &str) -> Option<String> {
    let url = url::Url::parse(token_url).ok()?;
    match url.host_str()? {
        "oauth2.googleapis.com" | "accounts.google.com" => google().device_url,
        host if host.starts_with("login.microsoftonline.")
            || host == "login.partner.microsoftonline.cn" =>
        {
            let path = url.path().strip_suffix("/token")?;
            Some(format!("https://{host}{path}/devicecode"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_device_address_follows_from_the_token_address() {
        for preset in [
            google(),
            microsoft("consumers"),
            microsoft("contoso.example"),
        ] {
            assert_eq!(device_url(&preset.token_url), preset.device_url);
        }
        assert_eq!(device_url("https://tokens.example.com/token"), None);
    }

    #[test]
    fn every_preset_is_an_address_that_secrets_may_go_to() {
        for preset in [
            google(),
            microsoft("common"),
            microsoft_app("contoso.example"),
            for_provider("outlook").unwrap(),
        ] {
            assert!(crate::transport::http::endpoint(&preset.token_url).is_ok());
        }
        assert_eq!(for_provider("qq"), None);
    }
}
