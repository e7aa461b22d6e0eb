"""Where pull requests live: GitHub by `gh`, GitLab by `glab`, others by plug-ins."""
