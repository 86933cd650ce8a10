"""Navigation: follow written instructions through city streets (V-IRL; Chu et al. 2025).

Headings and the two vocabularies (`headings`, `actions`) -> cities (`layouts`, `names`, `cities`)
-> a walker in their streets (`walking`) -> routes (`routes`; real ones: `virl`) -> splits
(`splits`) -> prompts (`prompts`) -> verdict (`verifier`) -> episodes of many steps (`episodes`),
joined by `environment`. The reference agents are in `agents`.
"""
