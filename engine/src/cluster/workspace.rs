//! kcp workspaces: each is a cluster of its own under the path of its name, and there is no current one.

use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client};

/// The address of a workspace at the server of a kubeconfig, whatever workspace that kubeconfig leads to.
pub(super) fn address(server: &str, path: &str) -> String {
    let root = server.split_once("/clusters/").map_or(server, |(root, _)| root);
    format!("{}/clusters/{path}", root.trim_end_matches('/'))
}

/// The logical cluster that a workspace is: a workspace of the same name that is made again is another.
pub(super) async fn logical_cluster(client: Client) -> Result<Option<String>, kube::Error> {
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("core.kcp.io", "v1alpha1", "LogicalCluster"));
    let found = Api::<DynamicObject>::all_with(client, &kind).get_metadata("cluster").await?;
    Ok(found.metadata.annotations.and_then(|mut all| all.remove("kcp.io/cluster")).filter(|id| !id.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn a_workspace_has_an_address_of_its_own() {
        for server in
            ["https://kcp.example:6443", "https://kcp.example:6443/", "https://kcp.example:6443/clusters/root:a"]
        {
            assert_eq!(address(server, "root:org:team"), "https://kcp.example:6443/clusters/root:org:team");
        }
        assert_eq!(address("https://h/proxy/kcp/clusters/root", "root"), "https://h/proxy/kcp/clusters/root");
    }
}
