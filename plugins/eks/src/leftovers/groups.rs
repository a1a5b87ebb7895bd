//! Security groups that Kubernetes' controllers, or EKS itself, made in the tenant's VPC.
//! Groups that name each other cannot be deleted: the rules between them go first.

use super::{Leftover, Sweep};
use crate::{
    action::{self, Action},
    error::{Absent as _, Result},
    query::{self, Params},
    xml::Element,
};

impl Sweep<'_> {
    pub(super) async fn security_groups(&self, found: &mut Vec<Leftover>) -> Result<()> {
        let Some(vpc) = &self.vpc else { return Ok(()) };
        let filters = [("vpc-id", std::slice::from_ref(vpc))];
        let all = self.aws.query.describe(action::DESCRIBE_SECURITY_GROUPS, "securityGroupInfo", &filters).await?;
        let doomed: Vec<&Element> = all.iter().filter(|g| self.has_cluster_tag(g)).collect();
        let ids: Vec<&str> = doomed.iter().map(|g| g.text("groupId")).collect();
        if !self.dry {
            for group in &all {
                self.revoke(group, "ipPermissions", action::REVOKE_INGRESS, &ids).await?;
                self.revoke(group, "ipPermissionsEgress", action::REVOKE_EGRESS, &ids).await?;
            }
        }
        for group in doomed {
            let id = group.text("groupId");
            let removed = self.delete(action::DELETE_SECURITY_GROUP, "GroupId", id).await?;
            let object = self.object("AWS::EC2::SecurityGroup", id, group.text("groupName"));
            found.push(Leftover { object, removed });
        }
        Ok(())
    }

    /// Takes away the rules of `group` that name one of `doomed` other than itself.
    async fn revoke(&self, group: &Element, set: &str, action: Action, doomed: &[&str]) -> Result<()> {
        let id = group.text("groupId");
        let mut params: Params = vec![("GroupId".to_owned(), id.to_owned())];
        let mut n = 0;
        for rule in group.child(set).into_iter().flat_map(|s| s.children("item")) {
            let pairs = rule.child("groups").into_iter().flat_map(|g| g.children("item"));
            let named: Vec<&str> =
                pairs.map(|p| p.text("groupId")).filter(|g| *g != id && doomed.contains(g)).collect();
            if named.is_empty() {
                continue;
            }
            n += 1;
            let at = format!("IpPermissions.{n}");
            params.push((format!("{at}.IpProtocol"), rule.text("ipProtocol").to_owned()));
            for (key, from) in [("FromPort", "fromPort"), ("ToPort", "toPort")] {
                if !rule.text(from).is_empty() {
                    params.push((format!("{at}.{key}"), rule.text(from).to_owned()));
                }
            }
            for (i, other) in named.iter().enumerate() {
                params.push((format!("{at}.Groups.{}.GroupId", i + 1), (*other).to_owned()));
            }
        }
        if n == 0 {
            return Ok(());
        }
        match self.aws.query.call(action, query::EC2, id, &params).await {
            // Taken away in the meantime.
            Err(error) if error.code() == "InvalidPermission.NotFound" => Ok(()),
            response => response.or_absent().map(drop),
        }
    }
}
