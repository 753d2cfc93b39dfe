"""`cutover doctor`: what a deployment needs of this machine, of the account and of the environment."""
