//! The CloudFormation template of a tenant's network and roles. Pure: the same input gives
//! the same text, byte for byte, and its hash shows whether a stack is up to date.
//!
//! Only `Ref` and `Fn::GetAtt` are used; what is known beforehand is written out.

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::{
    error::{Result, invalid},
    names::Names,
    parameters::Nat,
    tags::{self, Tags},
};
use landlord_provider_api::v1;
use landlord_provider_sdk::cidr::Cidr;

/// Public subnets are a sixteenth of the VPC each, private ones a quarter.
const PUBLIC_BITS: u8 = 4;
const PRIVATE_BITS: u8 = 2;
/// Changes whenever a template of the same input would differ.
const FORMAT: u32 = 1;

/// What the template is made from.
#[derive(Debug, Clone)]
pub(crate) struct Input<'a> {
    pub(crate) scope: &'a v1::Scope,
    pub(crate) names: &'a Names,
    pub(crate) vpc: Cidr,
    pub(crate) zones: &'a [String],
    pub(crate) nat: Nat,
    pub(crate) node_disk_gib: i32,
    pub(crate) ami_type: &'a str,
}

/// A template and what identifies it.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    /// JSON text.
    pub(crate) body: String,
    /// Hash of all that it was made from; also the output `TemplateHash`.
    pub(crate) hash: String,
}

pub(super) struct Builder<'a> {
    pub(super) input: &'a Input<'a>,
    resources: Map<String, Value>,
    outputs: Map<String, Value>,
}

/// Writes the template.
///
/// # Errors
/// INVALID if the VPC is too small for its subnets.
pub(crate) fn build(input: &Input<'_>) -> Result<Template> {
    let mut builder = Builder { input, resources: Map::new(), outputs: Map::new() };
    builder.network()?;
    builder.roles();
    builder.launch_template();
    builder.facts();
    let labels = tags::all(input.scope, "network");
    let content =
        json!({ "format": FORMAT, "tags": labels, "resources": builder.resources, "outputs": builder.outputs });
    let mut hash = hex::encode(Sha256::digest(content.to_string()));
    hash.truncate(32);
    builder.output("TemplateHash", json!(hash));
    let body = json!({
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "Network and roles of a landlord tenant. Managed by landlord; changes made by hand are undone.",
        "Resources": builder.resources,
        "Outputs": builder.outputs,
    });
    Ok(Template { body: body.to_string(), hash })
}

pub(super) fn reference(id: &str) -> Value {
    json!({ "Ref": id })
}

pub(super) fn attribute(id: &str, name: &str) -> Value {
    json!({ "Fn::GetAtt": [id, name] })
}

pub(super) fn list(tags: Tags) -> Value {
    tags.into_iter().map(|(k, v)| json!({ "Key": k, "Value": v })).collect()
}

impl Builder<'_> {
    pub(super) fn output(&mut self, name: &str, value: Value) {
        self.outputs.insert(name.to_owned(), json!({ "Value": value }));
    }

    pub(super) fn add(&mut self, id: &str, kind: &str, properties: Value) {
        self.resources.insert(id.to_owned(), json!({ "Type": kind, "Properties": properties }));
    }

    /// A resource that exists only after another that it does not name.
    fn add_after(&mut self, id: &str, kind: &str, after: &str, properties: Value) {
        let resource = json!({ "Type": kind, "DependsOn": after, "Properties": properties });
        self.resources.insert(id.to_owned(), resource);
    }

    pub(super) fn tags(&self, role: &str) -> Tags {
        let mut tags = tags::of(self.input.scope, role);
        tags.insert("Name".to_owned(), format!("{}-{role}", self.input.names.stack()));
        tags
    }

    /// Tags by which Kubernetes finds the subnets for its load balancers:
    /// <https://docs.aws.amazon.com/eks/latest/userguide/network-load-balancing.html>.
    fn subnet_tags(&self, role: &str, purpose: &str) -> Value {
        let mut tags = self.tags(role);
        tags.insert(self.input.names.cluster_tag(), "shared".to_owned());
        tags.insert(format!("kubernetes.io/role/{purpose}"), "1".to_owned());
        list(tags)
    }

    fn network(&mut self) -> Result<()> {
        self.add(
            "Vpc",
            "AWS::EC2::VPC",
            json!({
                "CidrBlock": self.input.vpc.to_string(),
                "EnableDnsSupport": true,
                "EnableDnsHostnames": true,
                "Tags": list(self.tags("vpc")),
            }),
        );
        self.add(
            "InternetGateway",
            "AWS::EC2::InternetGateway",
            json!({ "Tags": list(self.tags("internet-gateway")) }),
        );
        self.add(
            "GatewayAttachment",
            "AWS::EC2::VPCGatewayAttachment",
            json!({
                "VpcId": reference("Vpc"), "InternetGatewayId": reference("InternetGateway"),
            }),
        );
        self.add(
            "PublicRoutes",
            "AWS::EC2::RouteTable",
            json!({
                "VpcId": reference("Vpc"), "Tags": list(self.tags("public-routes")),
            }),
        );
        self.add_after(
            "PublicDefaultRoute",
            "AWS::EC2::Route",
            "GatewayAttachment",
            json!({
                "RouteTableId": reference("PublicRoutes"),
                "DestinationCidrBlock": "0.0.0.0/0",
                "GatewayId": reference("InternetGateway"),
            }),
        );
        self.add(
            "ControlPlaneSecurityGroup",
            "AWS::EC2::SecurityGroup",
            json!({
                "GroupDescription": "Further interfaces of the control plane; EKS makes the rules that it needs itself",
                "VpcId": reference("Vpc"),
                "Tags": list(self.tags("control-plane")),
            }),
        );
        for index in 0..self.input.zones.len() {
            self.zone(index)?;
        }
        self.output("VpcId", reference("Vpc"));
        self.output("ControlPlaneSecurityGroupId", reference("ControlPlaneSecurityGroup"));
        Ok(())
    }

    fn zone(&mut self, index: usize) -> Result<()> {
        let n = index + 1;
        let small = || invalid(format!("parameters.vpc_cidr: {} is too small", self.input.vpc));
        let i = u32::try_from(index).map_err(|_| small())?;
        let public = self.input.vpc.subnet(PUBLIC_BITS, i).ok_or_else(small)?;
        let private = self.input.vpc.subnet(PRIVATE_BITS, i + 1).ok_or_else(small)?;
        let zone = self.input.zones[index].clone();
        let subnet = |cidr: Cidr, public_addresses: bool, tags: Value| {
            json!({
                "VpcId": reference("Vpc"), "CidrBlock": cidr.to_string(), "AvailabilityZone": zone,
                "MapPublicIpOnLaunch": public_addresses, "Tags": tags,
            })
        };
        let (public_id, private_id) = (format!("PublicSubnet{n}"), format!("PrivateSubnet{n}"));
        let public = subnet(public, self.input.nat == Nat::None, self.subnet_tags("public-subnet", "elb"));
        let private = subnet(private, false, self.subnet_tags("private-subnet", "internal-elb"));
        self.add(&public_id, "AWS::EC2::Subnet", public);
        self.add(&private_id, "AWS::EC2::Subnet", private);
        self.associate(&format!("PublicAssociation{n}"), "PublicRoutes", &public_id);
        let nat = match self.input.nat {
            Nat::Single => Some(1),
            Nat::PerZone => Some(n),
            Nat::None => None,
        };
        if nat == Some(n) {
            self.nat(n, &public_id);
        }
        let routes = format!("PrivateRoutes{n}");
        self.add(
            &routes,
            "AWS::EC2::RouteTable",
            json!({
                "VpcId": reference("Vpc"), "Tags": list(self.tags("private-routes")),
            }),
        );
        if let Some(nat) = nat {
            self.add(
                &format!("PrivateDefaultRoute{n}"),
                "AWS::EC2::Route",
                json!({
                    "RouteTableId": reference(&routes),
                    "DestinationCidrBlock": "0.0.0.0/0",
                    "NatGatewayId": reference(&format!("NatGateway{nat}")),
                }),
            );
        }
        self.associate(&format!("PrivateAssociation{n}"), &routes, &private_id);
        self.output(&public_id, reference(&public_id));
        self.output(&private_id, reference(&private_id));
        Ok(())
    }

    fn associate(&mut self, id: &str, routes: &str, subnet: &str) {
        self.add(
            id,
            "AWS::EC2::SubnetRouteTableAssociation",
            json!({
                "RouteTableId": reference(routes), "SubnetId": reference(subnet),
            }),
        );
    }

    fn nat(&mut self, n: usize, subnet: &str) {
        let address = format!("NatAddress{n}");
        let (nat_tags, address_tags) = (list(self.tags("nat")), list(self.tags("nat-address")));
        self.add_after(
            &address,
            "AWS::EC2::EIP",
            "GatewayAttachment",
            json!({ "Domain": "vpc", "Tags": address_tags }),
        );
        self.add_after(
            &format!("NatGateway{n}"),
            "AWS::EC2::NatGateway",
            "PublicDefaultRoute",
            json!({
                "AllocationId": attribute(&address, "AllocationId"), "SubnetId": reference(subnet), "Tags": nat_tags,
            }),
        );
    }

    /// IMDSv2 only and one hop, so that no pod reaches the node's credentials; encrypted disk.
    fn launch_template(&mut self) {
        // Bottlerocket keeps its images and pods on a second disk.
        let device = if self.input.ami_type.starts_with("BOTTLEROCKET") { "/dev/xvdb" } else { "/dev/xvda" };
        let tagged = |kind: &str, role: &str| json!({ "ResourceType": kind, "Tags": list(self.tags(role)) });
        let data = json!({
            "MetadataOptions": { "HttpEndpoint": "enabled", "HttpTokens": "required", "HttpPutResponseHopLimit": 1 },
            "BlockDeviceMappings": [{
                "DeviceName": device,
                "Ebs": {
                    "VolumeSize": self.input.node_disk_gib, "VolumeType": "gp3",
                    "Encrypted": true, "DeleteOnTermination": true,
                },
            }],
            "TagSpecifications": [
                tagged("instance", "node"), tagged("volume", "node-disk"), tagged("network-interface", "node-interface"),
            ],
        });
        let properties = json!({
            "LaunchTemplateName": self.input.names.launch_template(),
            "LaunchTemplateData": data,
            "TagSpecifications": [tagged("launch-template", "node")],
        });
        self.add("NodeTemplate", "AWS::EC2::LaunchTemplate", properties);
        self.output("NodeTemplateId", reference("NodeTemplate"));
        self.output("NodeTemplateVersion", attribute("NodeTemplate", "LatestVersionNumber"));
    }

    /// What a later call must know to write the same template again.
    fn facts(&mut self) {
        self.output("Zones", json!(self.input.zones.join(",")));
        self.output("VpcCidr", json!(self.input.vpc.to_string()));
        let nodes = if self.input.nat == Nat::None { "public" } else { "private" };
        self.output("NodeSubnets", json!(nodes));
        self.output("NodeDiskGib", json!(self.input.node_disk_gib.to_string()));
    }
}

#[cfg(test)]
mod tests {
    use super::{Input, build};
    use crate::{names::Names, parameters::Nat};
    use landlord_provider_api::v1::Scope;

    fn template(nat: Nat, zones: &[&str], label: &str) -> serde_json::Value {
        let scope = Scope {
            installation: "prod".to_owned(),
            tenant_uid: "0192f0c1-2d3e-7a4b-8c5d-6e7f80910a1b".to_owned(),
            region: "eu-central-1".to_owned(),
            labels: [("team".to_owned(), label.to_owned())].into_iter().collect(),
            ..Scope::default()
        };
        let zones: Vec<String> = zones.iter().map(|z| (*z).to_owned()).collect();
        let names = Names::new(&scope).expect("a good uid");
        let input = Input {
            scope: &scope,
            names: &names,
            vpc: "10.64.0.0/16".parse().expect("a network"),
            zones: &zones,
            nat,
            node_disk_gib: 100,
            ami_type: "AL2023_x86_64_STANDARD",
        };
        serde_json::from_str(&build(&input).expect("a template").body).expect("JSON")
    }

    fn of_type<'a>(template: &'a serde_json::Value, kind: &str) -> Vec<&'a serde_json::Value> {
        let resources = template["Resources"].as_object().expect("resources");
        resources.values().filter(|r| r["Type"] == kind).collect()
    }

    #[test]
    fn the_whole_template_of_two_zones() {
        insta::assert_json_snapshot!(template(Nat::Single, &["eu-central-1a", "eu-central-1b"], "blue"));
    }

    #[test]
    fn gateways_follow_the_class() {
        let zones = ["eu-central-1a", "eu-central-1b", "eu-central-1c"];
        for (nat, gateways) in [(Nat::Single, 1), (Nat::PerZone, 3), (Nat::None, 0)] {
            let template = template(nat, &zones, "blue");
            assert_eq!(of_type(&template, "AWS::EC2::NatGateway").len(), gateways, "{nat:?}");
            assert_eq!(of_type(&template, "AWS::EC2::Subnet").len(), 6);
        }
    }

    #[test]
    fn every_resource_that_takes_tags_carries_the_markers() {
        let template = template(Nat::PerZone, &["eu-central-1a", "eu-central-1b"], "blue");
        let untaggable = ["AWS::EC2::VPCGatewayAttachment", "AWS::EC2::Route", "AWS::EC2::SubnetRouteTableAssociation"];
        for (id, resource) in template["Resources"].as_object().expect("resources") {
            if untaggable.iter().any(|kind| resource["Type"] == *kind) {
                continue;
            }
            let text = resource["Properties"].to_string();
            for marker in ["landlord-installation", "landlord-tenant-uid", "landlord-role"] {
                assert!(text.contains(marker), "{id} lacks {marker}");
            }
        }
    }

    #[test]
    fn the_hash_follows_content_and_labels_and_the_body_fits() {
        let zones = ["eu-central-1a", "eu-central-1b"];
        let hash = |t: &serde_json::Value| t["Outputs"]["TemplateHash"]["Value"].clone();
        let (one, same, other) = (
            template(Nat::Single, &zones, "blue"),
            template(Nat::Single, &zones, "blue"),
            template(Nat::Single, &zones, "red"),
        );
        assert_eq!(hash(&one), hash(&same));
        assert_ne!(hash(&one), hash(&other));
        // TemplateBody ends at 51,200 bytes.
        let largest = template(Nat::PerZone, &["eu-central-1a", "eu-central-1b", "eu-central-1c"], "blue").to_string();
        assert!(largest.len() < 51_200, "{}", largest.len());
    }
}
