"""CloudFront in front of the status page: TLS, HTTP/3, and one answer for all who ask in the same second.

The page's own files come from the function, too: a bucket would want another function that fills it.
"""

from aws_cdk import aws_cloudfront as cloudfront
from constructs import Construct

from stacks.constructs.policy import acknowledge
from stacks.naming import Names

#: https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/using-managed-cache-policies.html
CACHING_DISABLED = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
#: How long the edge keeps what the function calls no-cache, in seconds: the least that CloudFront keeps wins.
#: https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/Expiration.html
PAGE_KEPT, FIGURES_KEPT, STATUS_KEPT = 60, 20, 1
READS = ["GET", "HEAD"]
EVERY_METHOD = ["GET", "HEAD", "OPTIONS", "PUT", "PATCH", "POST", "DELETE"]
#: The viewer's address and port, which CloudFront sets whatever the viewer sent:
#: https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/adding-cloudfront-headers.html
VIEWER = "CloudFront-Viewer-Address"
WAIVED = {
    "AwsSolutions-CFR1": "The page is for users wherever they are",
    "AwsSolutions-CFR2": "The API behind it is throttled and cached; a web ACL is yours to add",
    "AwsSolutions-CFR3": "The API's stage logs what reaches it, without the viewers' addresses",
    "AwsSolutions-CFR4": "CloudFront's own name has CloudFront's own certificate",
}


def edge(scope: Construct, names: Names, origin: str) -> cloudfront.CfnDistribution:
    """Make the distribution before the API `origin` (a host name)."""
    page = _kept(scope, names, "page", PAGE_KEPT)
    figures = _kept(scope, names, "figures", FIGURES_KEPT)
    status = _kept(scope, names, "status", STATUS_KEPT)
    sender = cloudfront.CfnOriginRequestPolicy(
        scope,
        "Sender",
        origin_request_policy_config=cloudfront.CfnOriginRequestPolicy.OriginRequestPolicyConfigProperty(
            name=names.named("feedback"),
            comment="Who gives feedback, so that one sender is not heard too often",
            cookies_config=cloudfront.CfnOriginRequestPolicy.CookiesConfigProperty(cookie_behavior="none"),
            query_strings_config=cloudfront.CfnOriginRequestPolicy.QueryStringsConfigProperty(
                query_string_behavior="none"
            ),
            headers_config=cloudfront.CfnOriginRequestPolicy.HeadersConfigProperty(
                header_behavior="whitelist", headers=[VIEWER, "Content-Type"]
            ),
        ),
    )
    distribution = cloudfront.CfnDistribution(
        scope,
        "Distribution",
        distribution_config=cloudfront.CfnDistribution.DistributionConfigProperty(
            enabled=True,
            comment=f"The status page of {names.environment}",
            http_version="http2and3",
            ipv6_enabled=True,
            # With Seoul, without the dearest regions.
            price_class="PriceClass_200",
            origins=[
                cloudfront.CfnDistribution.OriginProperty(
                    id="api",
                    domain_name=origin,
                    custom_origin_config=cloudfront.CfnDistribution.CustomOriginConfigProperty(
                        origin_protocol_policy="https-only", origin_ssl_protocols=["TLSv1.2"]
                    ),
                )
            ],
            default_cache_behavior=cloudfront.CfnDistribution.DefaultCacheBehaviorProperty(
                target_origin_id="api",
                viewer_protocol_policy="redirect-to-https",
                allowed_methods=READS,
                cache_policy_id=page.ref,
                compress=True,
            ),
            cache_behaviors=[
                *(
                    cloudfront.CfnDistribution.CacheBehaviorProperty(
                        path_pattern=path,
                        target_origin_id="api",
                        viewer_protocol_policy="https-only",
                        allowed_methods=READS,
                        cache_policy_id=policy.ref,
                        compress=True,
                    )
                    for path, policy in (("/api/status", status), ("/api/figures", figures))
                ),
                cloudfront.CfnDistribution.CacheBehaviorProperty(
                    path_pattern="/api/feedback",
                    target_origin_id="api",
                    viewer_protocol_policy="https-only",
                    # CloudFront takes POST with all others or not at all; the API has no other route for it.
                    allowed_methods=EVERY_METHOD,
                    cache_policy_id=CACHING_DISABLED,
                    origin_request_policy_id=sender.ref,
                ),
            ],
        ),
    )
    for rule, reason in WAIVED.items():
        acknowledge(distribution, rule, reason)
    return distribution


def _kept(scope: Construct, names: Names, what: str, seconds: int) -> cloudfront.CfnCachePolicy:
    """By the path alone: no cookie, query or header of a viewer makes another entry."""
    inner = cloudfront.CfnCachePolicy
    return cloudfront.CfnCachePolicy(
        scope,
        f"{what.capitalize()}Kept",
        cache_policy_config=inner.CachePolicyConfigProperty(
            name=names.named(f"{what}-kept"),
            comment=f"{seconds} s, by the path alone",
            min_ttl=seconds,
            default_ttl=seconds,
            max_ttl=seconds,
            parameters_in_cache_key_and_forwarded_to_origin=inner.ParametersInCacheKeyAndForwardedToOriginProperty(
                cookies_config=inner.CookiesConfigProperty(cookie_behavior="none"),
                headers_config=inner.HeadersConfigProperty(header_behavior="none"),
                query_strings_config=inner.QueryStringsConfigProperty(query_string_behavior="none"),
                enable_accept_encoding_gzip=True,
                enable_accept_encoding_brotli=True,
            ),
        ),
    )
