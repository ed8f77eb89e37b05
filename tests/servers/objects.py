"""S3 for the tests: moto's server, in a thread of this process, on a free port."""

import logging
import uuid
from contextlib import contextmanager

import boto3
import obstore
from moto.server import ThreadedMotoServer
from obstore.store import S3Store

KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_REGION": "us-east-1"}


class S3Server:
    """A server, and buckets made on it. Stopped and started again it still has what it held."""

    def __init__(self):
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self.port = 0
        self.start()

    def start(self):
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=self.port, verbose=False)
        self._server.start()
        self.port = self._server.get_host_and_port()[1]

    def stop(self):
        self._server.stop()

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.port}"

    def bucket(self, *, versioned=False):
        """A new bucket; its name."""
        name = f"chats-{uuid.uuid4().hex}"
        client = boto3.client("s3", endpoint_url=self.endpoint, region_name="us-east-1")
        client.create_bucket(Bucket=name)
        if versioned:
            client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        client.close()
        return name

    def url(self, bucket, *, port=None):
        """The address of a store in a bucket."""
        return f"s3://{bucket}/some/prefix?endpoint=http://127.0.0.1:{port or self.port}&region=us-east-1"

    def objects(self, bucket):
        """What an ordinary client sees in a bucket."""
        return S3Store(bucket, endpoint=self.endpoint, region="us-east-1", client_options={"allow_http": True})

    def keys(self, bucket):
        """The names of all objects in a bucket."""
        return sorted(each["path"] for each in obstore.list(self.objects(bucket)).collect())


@contextmanager
def s3_server():
    """A server that runs as long as this does."""
    server = S3Server()
    try:
        yield server
    finally:
        server.stop()
