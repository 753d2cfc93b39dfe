"""How long the artifacts bucket keeps what is in it."""


def test_plans_stay_for_over_a_year_and_sources_for_a_season(each):
    bucket = each.control.named("AWS::S3::Bucket", "BucketName", each.names.artifacts_bucket)
    kept = {
        rule["Prefix"]: (
            rule["Status"],
            rule["ExpirationInDays"],
            rule["NoncurrentVersionExpiration"]["NoncurrentDays"],
        )
        for rule in bucket["LifecycleConfiguration"]["Rules"]
    }
    assert kept == {
        "sources/": ("Enabled", 90, 90),
        "plans/": ("Enabled", 400, 400),
        "boards/": ("Enabled", 400, 400),
        "scans/": ("Enabled", 400, 400),
        "evidence/": ("Enabled", 1100, 1100),
    }
