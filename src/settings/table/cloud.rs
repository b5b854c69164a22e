//! Settings: where notices come from.

use std::time::Duration;

use crate::settings::table::{
    DECIDES, DefaultValue, Group, ONE_HOUR, ONE_SECOND, Parse::One, Row, Secret, Setting,
};
use crate::settings::value::{seconds, truth};
use crate::source::url::{MetadataUrl, NoticeUrl};

/// These settings.
pub(super) const GROUP: Group = Group {
    title: "Where notices come from",
    rows: &[&METADATA_URL.row, &NOTICE_URL.row, &POLL_INTERVAL.row, &IMDS_V1_FALLBACK.row],
};

pub(in crate::settings) const METADATA_URL: Setting<MetadataUrl> = Setting {
    row: Row {
        flag: "metadata-url",
        variable: "INSTANCE_METADATA_URL",
        placeholder: Some("URL"),
        default: DefaultValue::Is("http://169.254.169.254"),
        valid: "http://HOST[:PORT], with a name, an IPv4 address or an [IPv6 address]; no path, no https",
        secret: Secret::Query,
        help: "where the EC2 instance metadata service is",
        ..DECIDES
    },
    parse: One(|text| MetadataUrl::parse(text).ok()),
};

pub(in crate::settings) const NOTICE_URL: Setting<NoticeUrl> = Setting {
    row: Row {
        flag: "notice-url",
        variable: "NOTICE_URL",
        placeholder: Some("URL"),
        default: DefaultValue::Unset("not polled"),
        valid: "http://HOST[:PORT]/PATH, with a name, an IPv4 address or an [IPv6 address]; no https",
        secret: Secret::Query,
        help: "polled too; status 200 with an action document or a bare time is a notice",
        ..DECIDES
    },
    parse: One(|text| NoticeUrl::parse(text).ok()),
};

pub(in crate::settings) const POLL_INTERVAL: Setting<Duration> = Setting {
    row: Row {
        flag: "poll-interval",
        variable: "POLL_INTERVAL",
        placeholder: Some("DURATION"),
        default: DefaultValue::Is("1s"),
        valid: "a duration from 1s to 1h; a bare number is seconds",
        help: "how often the metadata service is asked",
        ..DECIDES
    },
    parse: One(|text| seconds(text).filter(|span| (ONE_SECOND..=ONE_HOUR).contains(span))),
};

pub(in crate::settings) const IMDS_V1_FALLBACK: Setting<bool> = Setting {
    row: Row {
        flag: "imds-v1-fallback",
        variable: "IMDS_V1_FALLBACK",
        default: DefaultValue::Is("true"),
        help: "ask without a token where the metadata service plainly offers no IMDSv2",
        ..DECIDES
    },
    parse: One(truth),
};
