#!/usr/bin/env bash
# Writes the image's id into the SSM parameter that fleets follow (`image = { parameter = … }`), in each region that
# Packer put it in. Run by Packer on the machine that builds; needs the AWS CLI and ssm:PutParameter.
#
#   IMAGE_PARAMETER  the parameter's name; empty: nothing is published
#   MANIFEST         what Packer's manifest post-processor has written
#   IMAGE_BUILD      the id of this build in it
set -euo pipefail
# shellcheck source=packer/scripts/lib.sh
. "$(dirname "$0")/lib.sh"

if [[ -z ${IMAGE_PARAMETER:-} ]]; then
  say "no image_parameter_prefix is set, so the image's id is written nowhere"
  exit 0
fi
need MANIFEST IMAGE_BUILD
# region:ami,region:ami — Packer keeps older builds in the same file. Read by Python, which the AWS CLI needs as well.
artifact=$(python3 - "$MANIFEST" "$IMAGE_BUILD" << 'END'
import json, sys

manifest, build = sys.argv[1:]
with open(manifest, encoding="utf-8") as file:
    builds = json.load(file)["builds"]
print(next((one["artifact_id"] for one in reversed(builds) if one["custom_data"].get("build") == build), ""))
END
)
[[ -n $artifact ]] || die "$MANIFEST: has no build $IMAGE_BUILD"

IFS=, read -ra images <<< "$artifact"
for image in "${images[@]}"; do
  region=${image%%:*} id=${image#*:}
  [[ $id =~ ^ami-[0-9a-f]+$ ]] || die "$MANIFEST: found the artifact \"$image\", expected region:ami-…"
  # EC2 looks parameters of this data type up itself, and SSM refuses what is no image.
  aws ssm put-parameter --region "$region" --name "$IMAGE_PARAMETER" --value "$id" --type String \
    --data-type aws:ec2:image --overwrite > /dev/null || die "$IMAGE_PARAMETER in $region: could not be written"
  say "$IMAGE_PARAMETER in $region is $id"
done
