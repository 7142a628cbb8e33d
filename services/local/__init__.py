"""The one-machine stack: etcd, RabbitMQ and every service as supervised children of one launcher."""
