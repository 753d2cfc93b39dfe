"""The load balancer's data plane: Envoy, made to behave as an Application Load Balancer."""
