"""`python -m impressions.compiled`: compile reads now, so that no server's first start has to.

For images and machines that are prepared before they serve; does nothing the second time.
"""

from impressions.compiled.stored import prepare
from impressions.shell import log

if __name__ == "__main__":
    log.configure()
    prepare()
