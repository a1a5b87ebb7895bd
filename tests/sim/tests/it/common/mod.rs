//! A signed HTTP client for a simulator in this process.
#![allow(dead_code, clippy::unwrap_used, reason = "shared by several test binaries; tests may unwrap")]

use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign},
    sign::v4,
};
use base64::Engine;
use cloudsim::{Handle, Options, Simulator};
use serde_json::Value;
use std::time::{Duration, SystemTime};

/// Held by whoever keeps a thousand clusters in flight: two of them at once would wait for each other's processor time.
pub(crate) static THOUSAND: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

pub(crate) const ACCOUNT: &str = "444455556666";
pub(crate) const REGION: &str = "eu-west-1";
pub(crate) const TEMPLATE: &str = include_str!("../../boto3/network.json");

pub(crate) struct Cloud {
    pub(crate) handle: Handle,
    pub(crate) http: reqwest::Client,
    pub(crate) secret: String,
}

impl Cloud {
    pub(crate) async fn start(time_scale: f64) -> Self {
        let options = Options { time_scale, seed: 1, no_throttle: true, ..Options::default() };
        let handle = Simulator::start(options).await.unwrap();
        Self { handle, http: reqwest::Client::new(), secret: "cloudsim".to_owned() }
    }

    fn credentials(&self) -> aws_credential_types::Credentials {
        aws_credential_types::Credentials::new(format!("AKIA{ACCOUNT}TEST"), &self.secret, None, None, "test")
    }

    /// A signed request; the error is a dropped connection.
    pub(crate) async fn send(
        &self,
        service: &str,
        method: &str,
        path: &str,
        content_type: &str,
        body: String,
    ) -> reqwest::Result<(u16, String)> {
        let url = format!("{}{path}", self.handle.url());
        let identity = self.credentials().into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(REGION)
            .name(service)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .unwrap()
            .into();
        let host = self.handle.address().to_string();
        let headers = [("host", host.as_str()), ("content-type", content_type)];
        let signable =
            SignableRequest::new(method, &url, headers.into_iter(), SignableBody::Bytes(body.as_bytes())).unwrap();
        let (instructions, _) = sign(signable, &params).unwrap().into_parts();
        let mut request = self.http.request(method.parse().unwrap(), &url).header("content-type", content_type);
        for (name, value) in instructions.headers() {
            request = request.header(name, value);
        }
        let response = request.body(body).send().await?;
        Ok((response.status().as_u16(), response.text().await?))
    }

    /// A call of the query protocol.
    pub(crate) async fn query(&self, service: &str, params: &[(&str, &str)]) -> reqwest::Result<(u16, String)> {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish();
        self.send(service, "POST", "/", "application/x-www-form-urlencoded", body).await
    }

    /// A call of EKS.
    pub(crate) async fn eks(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (status, text) = self.send("eks", method, path, "application/json", body).await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    pub(crate) async fn control(&self, method: &str, path: &str, body: Value) -> Value {
        let url = format!("{}/_sim/{path}", self.handle.url());
        let request = self.http.request(method.parse().unwrap(), url);
        let request = if body.is_null() { request } else { request.body(body.to_string()) };
        let text = request.send().await.unwrap().text().await.unwrap();
        serde_json::from_str(&text).unwrap()
    }

    pub(crate) async fn journal(&self) -> Vec<Value> {
        let url = format!("{}/_sim/journal", self.handle.url());
        let text = self.http.get(url).send().await.unwrap().text().await.unwrap();
        text.lines().map(|l| serde_json::from_str(l).unwrap()).collect()
    }

    pub(crate) async fn objects(&self) -> Vec<Value> {
        self.control("GET", &format!("objects?account={ACCOUNT}"), Value::Null).await["objects"]
            .as_array()
            .unwrap()
            .clone()
    }

    /// Waits in the journal for a line that fits.
    pub(crate) async fn wait_for(&self, fits: impl Fn(&Value) -> bool) -> Value {
        let mut since = 0;
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        while tokio::time::Instant::now() < deadline {
            let url = format!("{}/_sim/journal?since={since}&wait_ms=1000", self.handle.url());
            let text = self.http.get(url).send().await.unwrap().text().await.unwrap();
            for line in text.lines() {
                let entry: Value = serde_json::from_str(line).unwrap();
                since = entry["seq"].as_u64().unwrap();
                if fits(&entry) {
                    return entry;
                }
            }
        }
        panic!("the journal never showed it");
    }

    pub(crate) async fn create_stack(&self, name: &str) -> Value {
        let params = [
            ("Action", "CreateStack"),
            ("Version", "2010-05-15"),
            ("StackName", name),
            ("TemplateBody", TEMPLATE),
            ("Capabilities.member.1", "CAPABILITY_NAMED_IAM"),
        ];
        let (status, body) = self.query("cloudformation", &params).await.unwrap();
        assert_eq!(status, 200, "{body}");
        self.wait_for(|e| {
            e["objects"].as_array().unwrap().iter().any(|o| o["name"] == name && o["state"] == "CREATE_COMPLETE")
        })
        .await
    }

    /// What the request for a cluster in the stack `name` says.
    pub(crate) async fn cluster_request(&self, stack: &str, name: &str) -> Value {
        let objects = self.objects().await;
        let of_stack = |kind: &str| {
            objects
                .iter()
                .filter(|o| o["type"] == kind && o["tags"]["aws:cloudformation:stack-name"] == stack)
                .cloned()
                .collect::<Vec<_>>()
        };
        let subnets: Vec<Value> = of_stack("AWS::EC2::Subnet").iter().map(|s| s["id"].clone()).collect();
        let role = of_stack("AWS::IAM::Role")[0]["arn"].clone();
        serde_json::json!({ "name": name, "roleArn": role, "resourcesVpcConfig": { "subnetIds": subnets } })
    }

    /// A token as `aws eks get-token` makes it.
    pub(crate) fn token(&self, cluster: &str, host: &str, expires_s: u64) -> String {
        let identity = self.credentials().into();
        let mut settings = SigningSettings::default();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(Duration::from_secs(expires_s));
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(REGION)
            .name("sts")
            .time(SystemTime::now())
            .settings(settings)
            .build()
            .unwrap()
            .into();
        let url = format!("https://{host}/?Action=GetCallerIdentity&Version=2011-06-15");
        let headers = [("host", host), ("x-k8s-aws-id", cluster)];
        let signable = SignableRequest::new("GET", &url, headers.into_iter(), SignableBody::Bytes(&[])).unwrap();
        let (instructions, _) = sign(signable, &params).unwrap().into_parts();
        let mut request = http::Request::builder().uri(&url).body(()).unwrap();
        instructions.apply_to_request_http1x(&mut request);
        let encoded = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(request.uri().to_string());
        format!("k8s-aws-v1.{encoded}")
    }
}
