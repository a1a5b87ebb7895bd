//! Load balancers of Services and Gateways: Network and Application ones with their target
//! groups, and Classic ones, which EKS's own cloud controller still makes for a Service of
//! type LoadBalancer without further annotations.

use std::collections::HashMap;

use aws_sdk_elasticloadbalancingv2::types::{LoadBalancer, TagDescription, TargetGroup};

use super::{Leftover, Sweep};
use crate::{
    action,
    error::{Absent as _, Result, failed},
    query::{self, CLASSIC_BALANCERS, Params},
};

/// DescribeTags takes 20 at once, both generations.
const TAGS_AT_ONCE: usize = 20;
/// Pages of classic load balancers (400 each).
const PAGES_MAX: usize = 20;

impl Sweep<'_> {
    /// Load balancers in the tenant's VPC: with the VPC gone there are none.
    pub(super) async fn load_balancers(&self, found: &mut Vec<Leftover>) -> Result<()> {
        let Some(vpc) = self.vpc.clone() else {
            return Ok(());
        };
        self.modern(&vpc, found).await?;
        self.target_groups(&vpc, found).await?;
        self.classic(&vpc, found).await
    }

    async fn modern(&self, vpc: &str, found: &mut Vec<Leftover>) -> Result<()> {
        let mut here: Vec<LoadBalancer> = Vec::new();
        let mut pages = self.aws.balancers.describe_load_balancers().into_paginator().items().send();
        while let Some(item) = pages.next().await {
            let item = item.map_err(failed(action::DESCRIBE_LOAD_BALANCERS, vpc))?;
            if item.vpc_id() == Some(vpc) {
                here.push(item);
            }
        }
        let arns: Vec<&str> = here.iter().filter_map(LoadBalancer::load_balancer_arn).collect();
        let tagged = self.tagged(&arns).await?;
        for item in &here {
            let arn = item.load_balancer_arn().unwrap_or_default();
            if !tagged.get(arn).copied().unwrap_or(false) {
                continue;
            }
            let mut removed = false;
            if !self.dry {
                let response = self.aws.balancers.delete_load_balancer().load_balancer_arn(arn).send().await;
                response.map(drop).map_err(failed(action::DELETE_LOAD_BALANCER, arn)).or_absent()?;
                removed = true;
            }
            let name = item.load_balancer_name().unwrap_or_default();
            let object = self.object("AWS::ElasticLoadBalancingV2::LoadBalancer", arn, name);
            found.push(Leftover { object, removed });
        }
        Ok(())
    }

    async fn target_groups(&self, vpc: &str, found: &mut Vec<Leftover>) -> Result<()> {
        let mut here: Vec<TargetGroup> = Vec::new();
        let mut pages = self.aws.balancers.describe_target_groups().into_paginator().items().send();
        while let Some(item) = pages.next().await {
            let item = item.map_err(failed(action::DESCRIBE_TARGET_GROUPS, vpc))?;
            if item.vpc_id() == Some(vpc) {
                here.push(item);
            }
        }
        let arns: Vec<&str> = here.iter().filter_map(TargetGroup::target_group_arn).collect();
        let tagged = self.tagged(&arns).await?;
        for item in &here {
            let arn = item.target_group_arn().unwrap_or_default();
            if !tagged.get(arn).copied().unwrap_or(false) {
                continue;
            }
            let mut removed = false;
            if !self.dry {
                let response = self.aws.balancers.delete_target_group().target_group_arn(arn).send().await;
                removed = match response.map(drop).map_err(failed(action::DELETE_TARGET_GROUP, arn)) {
                    Ok(()) => true,
                    Err(error) if error.is_absent() => true,
                    Err(error) if error.is_busy() => false,
                    Err(error) => return Err(error),
                };
            }
            let name = item.target_group_name().unwrap_or_default();
            let object = self.object("AWS::ElasticLoadBalancingV2::TargetGroup", arn, name);
            found.push(Leftover { object, removed });
        }
        Ok(())
    }

    /// Which of these carry the cluster's tag.
    async fn tagged(&self, arns: &[&str]) -> Result<HashMap<String, bool>> {
        let mut found = HashMap::new();
        for some in arns.chunks(TAGS_AT_ONCE) {
            let list = some.iter().map(|a| (*a).to_owned()).collect();
            let response = self.aws.balancers.describe_tags().set_resource_arns(Some(list)).send().await;
            // One that went in between takes the whole response with it: the next observation finds the rest.
            let response = response.map_err(failed(action::DESCRIBE_BALANCER_TAGS, some.join(","))).or_absent()?;
            for tags in response.iter().flat_map(|a| a.tag_descriptions()) {
                found.insert(tags.resource_arn().unwrap_or_default().to_owned(), self.is_tagged(tags));
            }
        }
        Ok(found)
    }

    fn is_tagged(&self, description: &TagDescription) -> bool {
        let tags = description.tags();
        tags.iter().any(|t| self.is_cluster_tag(t.key().unwrap_or_default(), t.value().unwrap_or_default()))
    }

    async fn classic(&self, vpc: &str, found: &mut Vec<Leftover>) -> Result<()> {
        let call = |action, subject: String, params: Params| async move {
            self.aws.query.call(action, CLASSIC_BALANCERS, &subject, &params).await
        };
        let mut here = Vec::new();
        let mut params = Params::new();
        for _ in 0..PAGES_MAX {
            let response = call(action::DESCRIBE_LOAD_BALANCERS, vpc.to_owned(), params.clone()).await?;
            if let Some(list) = response.find("LoadBalancerDescriptions") {
                let mine = list.children("member").filter(|m| m.text("VPCId") == vpc);
                here.extend(mine.map(|m| m.text("LoadBalancerName").to_owned()));
            }
            let next = response.find("NextMarker").map(|m| m.own_text().to_owned()).unwrap_or_default();
            if next.is_empty() {
                break;
            }
            params = vec![("Marker".to_owned(), next)];
        }
        for some in here.chunks(TAGS_AT_ONCE) {
            let params = query::list("LoadBalancerNames.member", some.iter().cloned());
            let response = call(action::DESCRIBE_BALANCER_TAGS, some.join(","), params).await.or_absent()?;
            let Some(list) = response.as_ref().and_then(|a| a.find("TagDescriptions")) else {
                continue;
            };
            for member in list.children("member") {
                let name = member.text("LoadBalancerName");
                let tags = member.child("Tags").into_iter().flat_map(|t| t.children("member"));
                let mut pairs = tags.map(|t| (t.text("Key").to_owned(), t.text("Value").to_owned()));
                if !pairs.any(|(k, v)| self.is_cluster_tag(&k, &v)) {
                    continue;
                }
                if !self.dry {
                    let params = vec![("LoadBalancerName".to_owned(), name.to_owned())];
                    call(action::DELETE_LOAD_BALANCER, name.to_owned(), params).await.or_absent()?;
                }
                let object = self.object("AWS::ElasticLoadBalancing::LoadBalancer", name, name);
                found.push(Leftover { object, removed: !self.dry });
            }
        }
        Ok(())
    }
}
