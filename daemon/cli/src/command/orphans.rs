//! Objects in the clouds whose tenant has no record: shown, adopted, removed.

use landlord_proto::v1;

use super::{delete, pages::all};
use crate::{
    arguments::{Orphans, Output},
    client::Client,
    connection::Connection,
    error::Error,
    file::{self, Document},
    output::{self, Column, age, text},
};

const ORPHAN: &[Column<'_>] = &[
    ("UID", false, |orphan| text(orphan, "name").trim_start_matches("orphans/").to_owned()),
    ("PROVIDER", false, |orphan| format!("{}.{}", text(orphan, "provider"), text(orphan, "credentials"))),
    ("REGION", false, |orphan| text(orphan, "region")),
    ("OBJECTS", false, |orphan| orphan["objects"].as_array().map_or(0, Vec::len).to_string()),
    ("FIRST", true, |orphan| text(&orphan["objects"][0], "id")),
    ("FOUND", false, |orphan| age(orphan, "foundTime")),
];

pub(super) async fn run(server: &Connection, what: Option<Orphans>, form: Output) -> Result<(), Error> {
    match what {
        None | Some(Orphans::List) => list(&mut Client::connect(server).await?, form).await,
        Some(Orphans::Adopt { uid, file, dry_run }) => adopt(server, uid, &file, dry_run).await,
        Some(Orphans::Remove { uid, force, wait, timeout }) => {
            let mut client = Client::connect(server).await?;
            let (name, request_id) = (format!("orphans/{uid}"), uuid::Uuid::new_v4().to_string());
            let request = v1::DeleteOrphanRequest { name: name.clone(), force, request_id, ..Default::default() };
            let operation = client.orphans.delete_orphan(request).await?.into_inner().name;
            if wait {
                return delete::gone(&mut client, &name, &operation, timeout, form).await;
            }
            output::print(&format!("{name} deleting ({operation})"))
        }
    }
}

async fn list(client: &mut Client, form: Output) -> Result<(), Error> {
    let items = all(async |page_token| {
        let request = v1::ListOrphansRequest { page_token, ..Default::default() };
        let page = client.orphans.list_orphans(request).await?.into_inner();
        Ok((page.orphans, page.next_page_token))
    })
    .await?;
    if items.is_empty() {
        super::remark("no orphans found");
    }
    output::items(form, &items, ORPHAN, false)
}

/// The order is the tenant's as it was; the daemon checks it like every order.
async fn adopt(server: &Connection, adopt_uid: String, path: &std::path::Path, dry_run: bool) -> Result<(), Error> {
    let mut documents = file::read(path)?.into_iter();
    let (Some(Document::Tenant(wanted)), None) = (documents.next(), documents.next()) else {
        return Err(Error::Usage(format!("{}: must hold one tenant", path.display())));
    };
    let adopted = format!("orphans/{adopt_uid}");
    let request = v1::CreateTenantRequest {
        parent: format!("customers/{}", wanted.customer),
        tenant_id: wanted.tenant_id,
        tenant: Some(wanted.tenant.clone()),
        request_id: uuid::Uuid::new_v4().to_string(),
        validate_only: dry_run,
        adopt_uid,
    };
    let operation = Client::connect(server).await?.tenants.create_tenant(request).await?.into_inner();
    if dry_run {
        return output::print(&format!("{} would adopt {adopted} (dry run)", wanted.tenant.name));
    }
    output::print(&format!("{} adopting ({})", wanted.tenant.name, operation.name))
}
