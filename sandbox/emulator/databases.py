"""DocumentDB with a server behind it: a cluster's endpoint is an address where MongoDB's protocol answers.

As on AWS, a cluster is storage and an endpoint, and answers once it has an instance
(https://docs.aws.amazon.com/documentdb/latest/developerguide/how-it-works.html). TLS is required, as with
DocumentDB's default parameter group; the certificate is the sandbox CA's and names the address.
Where the sandbox was started with MONGO_URL, the endpoint is that server's, and none is started here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pymongo
import pymongo.errors
from ministack.services import documentdb

from sandbox.database.launch import database_command, real_server
from sandbox.emulator import caches, certificates
from sandbox.emulator.context import Context, replace, seam
from sandbox.emulator.managed_servers import ManagedServers, ServerError, first_host, write_secret
from sandbox.settings import SandboxSettings

_logger = logging.getLogger("databases")
Params = dict[str, Any]


def install(context: Context) -> None:
    """Put servers behind DocumentDB and ElastiCache."""
    servers = ManagedServers(context.settings)
    _DocumentDb(context.settings, servers).install()
    caches.Caches(context.settings, servers).install()
    # Creating a server blocks until it answers: never on the event loop.
    context.added_types |= {"AWS::DocDB::DBCluster", "AWS::DocDB::DBInstance"}


class _DocumentDb:
    def __init__(self, settings: SandboxSettings, servers: ManagedServers) -> None:
        self._settings = settings
        self._servers = servers

    def install(self) -> None:
        """Put the additions in ministack's place. A Docker daemon that happens to run is not used."""
        replace(documentdb, "_get_docker", lambda: None)
        replace(documentdb, "_ensure_cluster_compute", self._ensure_running)
        replace(
            documentdb, "_remove_cluster_shared_resources", lambda name, _cluster, **_: self._remove(name)
        )
        self._replace_action("CreateDBCluster", "_create_db_cluster", self._create)
        self._replace_action("CreateDBInstance", "_create_db_instance", self._create_instance)
        self._replace_action("ModifyDBCluster", "_modify_db_cluster", self._modify)
        for action, name in (("StopDBCluster", "_stop_db_cluster"), ("StartDBCluster", "_start_db_cluster")):
            # The server keeps its data in memory: stopping it would lose what AWS keeps.
            self._replace_action(action, name, lambda _original, _params: _not_offered("Stopping a cluster"))

    def _replace_action(
        self, action: str, name: str, handler: Callable[[Callable[[Params], Any], Params], Any]
    ) -> None:
        original = seam(documentdb, name)

        def handle(params: Params) -> Any:
            try:
                return handler(original, params)
            except ServerError as error:
                _logger.error("%s", error)
                return documentdb._error("InternalFailure", str(error), 500)

        # CloudFormation's handlers call it by its name, the API by the action map.
        replace(documentdb, name, handle)
        seam(documentdb, "_ACTION_MAP")[action] = handle

    def _create(self, original: Callable[[Params], Any], params: Params) -> Any:
        if documentdb._evaluate_params(params, "ManageMasterUserPassword") == "true":
            return _not_offered("ManageMasterUserPassword")
        for required in ("MasterUsername", "MasterUserPassword"):
            if not documentdb._evaluate_params(params, required):
                return documentdb._error("InvalidParameterCombination", f"{required} is required", 400)
        name = documentdb._evaluate_params(params, "DBClusterIdentifier")
        known = name in documentdb._clusters
        response = original(params)
        cluster = documentdb._clusters.get(name)
        if known or cluster is None:
            return response
        address, port = self._endpoint(name, int(cluster["Port"]))
        cluster["Endpoint"] = cluster["ReaderEndpoint"] = address
        cluster["Port"] = port
        return documentdb._xml(
            200,
            "CreateDBClusterResponse",
            f"<CreateDBClusterResult><DBCluster>{documentdb._cluster_xml(cluster)}"
            "</DBCluster></CreateDBClusterResult>",
        )

    def _create_instance(self, original: Callable[[Params], Any], params: Params) -> Any:
        if not documentdb._evaluate_params(params, "DBClusterIdentifier"):
            return documentdb._error("InvalidParameterValue", "DBClusterIdentifier is required", 400)
        try:
            return original(params)
        except ServerError:
            # The record is there before the server is; without one it must not stay.
            name = documentdb._evaluate_params(params, "DBInstanceIdentifier")
            documentdb._unregister_instance_from_clusters(name)
            documentdb._instances.pop(name, None)
            raise

    def _modify(self, original: Callable[[Params], Any], params: Params) -> Any:
        cluster = documentdb._clusters.get(documentdb._evaluate_params(params, "DBClusterIdentifier"))
        if cluster and documentdb._evaluate_params(params, "Port") not in ("", str(cluster["Port"])):
            return _not_offered("Changing the port of a cluster")
        password = documentdb._evaluate_params(params, "MasterUserPassword")
        if cluster and password and password != cluster["_MasterUserPassword"]:
            return _not_offered("Changing the password of a cluster")
        return original(params)

    def _endpoint(self, name: str, port: int) -> tuple[str, int]:
        if self._settings.mongo_url:
            return first_host(self._settings.mongo_url, default_port=27017)
        return self._servers.address(_server_name(name)), port

    def _ensure_running(self, cluster: dict[str, Any]) -> None:
        """Called when a cluster gets an instance: from now on its endpoint answers."""
        endpoint = {
            "Address": cluster["Endpoint"],
            "Port": cluster["Port"],
            "HostedZoneId": cluster["HostedZoneId"],
        }
        if not self._settings.mongo_url:
            self._start(cluster)
        cluster["_shared_endpoint"] = endpoint

    def _start(self, cluster: dict[str, Any]) -> None:
        name = _server_name(cluster["DBClusterIdentifier"])
        folder = self._servers.folder(name)
        password_file, ready_file = folder / "password", folder / "ready"
        write_secret(password_file, cluster["_MasterUserPassword"])
        ready_file.unlink(missing_ok=True)
        issued = certificates.authority(self._settings.pki).issue(name, [cluster["Endpoint"]])
        mongod = real_server()
        command = database_command(
            host=cluster["Endpoint"],
            port=int(cluster["Port"]),
            username=cluster["MasterUsername"],
            password_file=password_file,
            # A cluster's data ends with it, so the embedded server keeps it in memory.
            data_directory=folder / "data" if mongod else None,
            certificate=issued.certificate,
            key=issued.key,
            ready_file=ready_file,
            mongod=mongod,
        )
        self._servers.start(name, command, lambda: ready_file.exists() and self._answers(cluster))

    def _answers(self, cluster: dict[str, Any]) -> bool:
        """Whether the server lets the master user in over TLS."""
        client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(
            cluster["Endpoint"],
            int(cluster["Port"]),
            username=cluster["MasterUsername"],
            password=cluster["_MasterUserPassword"],
            tls=True,
            tlsCAFile=str(self._settings.ca_bundle),
            serverSelectionTimeoutMS=2000,
            directConnection=True,
        )
        try:
            client.admin.command("ping")
        except pymongo.errors.PyMongoError as error:
            _logger.debug("%s does not answer yet: %s", cluster["Endpoint"], error)
            return False
        finally:
            client.close()
        return True

    def _remove(self, cluster_id: str) -> None:
        self._servers.release(_server_name(cluster_id))


def _server_name(cluster_id: str) -> str:
    return f"documentdb-{cluster_id}"


def _not_offered(what: str) -> Any:
    return documentdb._error("InvalidParameterCombination", f"{what} is not offered by the sandbox", 400)
